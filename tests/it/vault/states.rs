//! Each state of the two fields, and each command of ours on it.

use std::fs;

use serde_json::json;

use super::{ADA, FRESH, GRACE, Look, POINTER, STALE, VECTORS, World, text};

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn peer_agrees_with_the_vectors() {
    assert_eq!(World::bare().peer(&["vectors", VECTORS]), json!(3));
}

#[test]
#[ignore = "needs dbus-daemon, gnome-keyring-daemon and Python"]
fn peer_moves_plaintext_login_in_unless_marked() {
    let world = World::with_login(FRESH);
    let (token, domain) = (world.peer_token(), world.service.domain());
    for marked in [false, true] {
        world.set_fields(&format!("Bearer {token}"), "v1.shared");
        if marked {
            world.mark();
        }
        assert_eq!(world.peer(&["resolve", &domain]), json!([format!("Bearer {token}"), "v1.shared"]));
        assert_eq!(world.look().fields() == POINTER, !marked);
    }
    world.peer(&["logout", &domain]);
    assert_eq!((world.look().fields(), world.look().entry()), (("", ""), None));
}
