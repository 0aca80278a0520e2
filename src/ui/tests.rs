use super::*;

fn all_said(quiet: bool) -> (String, String) {
    let (ui, captured) = Ui::captured(quiet, "");
    ui.write_data_ignoring_closed_pipe("https://link").unwrap();
    ui.say("Welcome");
    ui.success("Logged in");
    ui.hint("try `astro login`");
    ui.warn("the port is taken", "stop the program");
    ui.error("could not log in", &["no reply".into(), "timed out".into()], Some("try again"));
    let spinner = ui.spinner("Waiting");
    spinner.set_message("Still waiting");
    (captured.stdout(), captured.stderr())
}

#[test]
fn messages_on_stderr_data_on_stdout() {
    let (out, err) = all_said(false);
    assert_eq!(out, "https://link\n");
    assert_eq!(
        err,
        "Welcome\nLogged in\nhint: try `astro login`\nwarning: the port is taken\nhint: stop the program\n\
         error: could not log in\ncause: no reply\ncause: timed out\nhint: try again\nWaiting\n"
    );
}

#[test]
fn quiet_keeps_data_warnings_and_errors() {
    let (out, err) = all_said(true);
    assert_eq!(out, "https://link\n");
    assert_eq!(
        err,
        "warning: the port is taken\nhint: stop the program\n\
         error: could not log in\ncause: no reply\ncause: timed out\nhint: try again\n"
    );
}

struct Failing(ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn closed_stdout_is_no_error_failed_write_is() {
    let (ui, _) = Ui::captured(false, "");
    *lock(&ui.0.out) = Box::new(Failing(ErrorKind::BrokenPipe));
    assert!(ui.write_data_ignoring_closed_pipe("x").is_ok());
    assert!(matches!(ui.write_data("x"), Err(UiError::Io(error)) if error.kind() == ErrorKind::BrokenPipe));
    *lock(&ui.0.out) = Box::new(Failing(ErrorKind::StorageFull));
    assert!(
        matches!(ui.write_data_ignoring_closed_pipe("x"), Err(UiError::Io(error)) if error.kind() == ErrorKind::StorageFull)
    );
}

#[test]
fn ui_is_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Ui>();
}
