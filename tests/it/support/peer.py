#!/usr/bin/python3
"""A second writer of the login vault that Astro CLI 2 and Astro Desktop share. It knows the contract alone and nothing of
our program, which the tests run beside it.

peer.py [--wait] COMMAND [DOMAIN]: with --wait it says `ready` when all is loaded, and begins at the end of stdin."""

import base64
import contextlib
import datetime
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import dbus
import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

POINTER = ("Bearer ", "")
NOTHING = ("", "")
FIELDS = ("token", "refreshtoken")
STAMP = "login-keyring-unavailable"


class Unavailable(Exception):
    """The vault cannot be opened: folder, keyring or master key."""


class BadEntry(Exception):
    """One value cannot be read."""


class Failed(Exception):
    """The command fails."""


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def go_json(value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def members(text, **kinds):
    """The members of a JSON object by Go's rules: names in any case, null and missing are empty, other types an error."""
    value = json.loads(text)
    if not isinstance(value, (dict, type(None))):
        raise ValueError("no object")
    found = {name: kind() for name, kind in kinds.items()}
    for name, member in (value or {}).items():
        if name.lower() in kinds and member is not None:
            if not isinstance(member, kinds[name.lower()]):
                raise ValueError(f"{name} is of another type")
            found[name.lower()] = member
    return found


def replace(path, data, mode):
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(5)}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    os.chmod(temporary, mode)
    os.rename(temporary, path)


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def mtime(path):
    """The time of the last write, or None."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_mtime_ns / 1e9


@contextlib.contextmanager
def locked(path, attempts, bound, pause):
    """Holds the lock, or gives False after so many attempts of so many seconds."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        held, end = False, time.monotonic() + attempts * bound
        while not held and time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            except BlockingIOError:
                time.sleep(pause)
        yield held


def canonical(path):
    path, rest = os.path.abspath(path), []
    while True:
        try:
            return os.path.join(os.path.realpath(path, strict=True), *rest)
        except OSError:
            path, name = os.path.split(path)
            rest.insert(0, name)


class Keyring:
    NAME, ROOT = "org.freedesktop.secrets", "/org/freedesktop/secrets"
    ATTRIBUTES = {"service": "astro", "username": "master-key"}

    def __init__(self):
        self.bus = dbus.SessionBus()
        self.session = self.call(self.ROOT, "Service", "OpenSession", "plain", dbus.String("", variant_level=1))[1]
        collections = self.property(self.ROOT, "Service", "Collections")
        self.collection = f"{self.ROOT}/collection/login"
        if self.collection not in collections:
            self.collection = self.call(self.ROOT, "Service", "ReadAlias", "default")
        unlocked, _ = self.call(self.ROOT, "Service", "Unlock", dbus.Array([self.collection], "o"))
        if self.collection not in unlocked:
            raise Unavailable("failed to unlock correct collection")

    def proxy(self, path):
        return self.bus.get_object(self.NAME, path, introspect=False)

    def call(self, path, interface, method, *arguments):
        interface = f"org.freedesktop.Secret.{interface}"
        return self.proxy(path).get_dbus_method(method, interface)(*arguments, timeout=15)

    def property(self, path, interface, name):
        get = self.proxy(path).get_dbus_method("Get", "org.freedesktop.DBus.Properties")
        return get(f"org.freedesktop.Secret.{interface}", name, timeout=15)

    def get(self):
        attributes = dbus.Dictionary(self.ATTRIBUTES, "ss")
        for item in self.call(self.collection, "Collection", "SearchItems", attributes):
            return bytes(self.call(item, "Item", "GetSecret", self.session)[2]).decode()
        return None

    def set(self, text):
        properties = dbus.Dictionary(
            {
                "org.freedesktop.Secret.Item.Label": dbus.String("Password for 'master-key' on 'astro'"),
                "org.freedesktop.Secret.Item.Attributes": dbus.Dictionary(self.ATTRIBUTES, "ss"),
            },
            "sv",
        )
        kind = "text/plain; charset=utf8"
        secret = dbus.Struct((self.session, dbus.ByteArray(), dbus.ByteArray(text.encode()), kind), signature="oayays")
        self.call(self.collection, "Collection", "CreateItem", properties, secret, True)


def kid(master):
    return hmac.new(master, b"astro-vault-kid", "sha256").digest()[:8].hex()


def aad(key):
    return b"astro-vault/v2\0" + key.encode()


def seal(master, key, text, nonce):
    sealed = nonce + AESGCM(master).encrypt(nonce, text.encode(), aad(key))
    return go_json({"key": key, "value": f"enc:v2:{kid(master)}:{base64.b64encode(sealed).decode()}"})


class Vault:
    def __init__(self):
        self.folder = os.path.join(os.environ["HOME"], ".astro/secrets")
        self.master = None

    def check(self, create=False):
        """The folder is there and ours."""
        try:
            found = os.lstat(self.folder)
        except FileNotFoundError:
            if create:
                os.makedirs(self.folder, 0o700)
            return create
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise Unavailable("the folder is a link, no folder, or another user's")
        if found.st_mode & 0o077:
            os.chmod(self.folder, 0o700)
        return True

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, key):
        return self.path(f"{sha256(key)}.json")

    def marker(self, key):
        return self.path(f"login-in-config-{sha256(key)}")

    def master_key(self):
        try:
            keyring = Keyring()
            text = keyring.get()
            if text is None:
                logins = self.only_logins()
                text = keyring.get()
            if text is None:
                for login in logins:
                    remove(login)
                text = base64.b64encode(secrets.token_bytes(32)).decode()
                keyring.set(text)
            master = base64.b64decode(text, validate=True)
        except (dbus.DBusException, ValueError) as error:
            raise Unavailable(str(error)) from error
        if len(master) != 32:
            raise Unavailable("the master key has another length")
        return master

    def only_logins(self):
        """The files of logins, in a vault that holds nothing else that was encrypted."""
        logins = []
        for name in os.listdir(self.folder):
            if not name.endswith(".json"):
                continue
            try:
                with open(self.path(name), "rb") as file:
                    value = members(file.read(), key=str, value=str, plain=bool)
            except ValueError:
                raise Unavailable("orphaned") from None
            if value["plain"]:
                continue
            if not value["key"].startswith("login:") or name != f"{sha256(value['key'])}.json":
                raise Unavailable("orphaned")
            logins.append(self.path(name))
        return logins

    def open(self, key, text):
        try:
            value = members(text, key=str, value=str, plain=bool)
        except ValueError as error:
            raise BadEntry("damaged") from error
        envelope = value["value"]
        if value["key"] != key:
            raise BadEntry("tampered")
        if value["plain"]:
            return envelope
        self.master = self.master or self.master_key()
        if envelope.startswith("enc:v2:"):
            name, separator, sealed = envelope[7:].partition(":")
            if separator and name != kid(self.master):
                raise BadEntry("wrong master key")
            associated = aad(key)
        elif envelope.startswith("enc:v1:"):
            separator, sealed, associated = ":", envelope[7:], None
        elif not envelope:
            return ""
        else:
            raise BadEntry("newer" if envelope.startswith("enc:") else "unencrypted")
        try:
            sealed = base64.b64decode(sealed, validate=True)
            if not separator or len(sealed) < 28:
                raise BadEntry("tampered")
            return AESGCM(self.master).decrypt(sealed[:12], sealed[12:], associated).decode()
        except (InvalidTag, ValueError) as error:
            raise BadEntry("tampered") from error

    def read(self, key):
        if not self.check():
            return None
        try:
            with open(self.file(key), "rb") as file:
                text = self.open(key, file.read())
            try:
                login = members(text, token=str, refreshtoken=str)
            except ValueError as error:
                raise BadEntry("tampered") from error
            return login["token"], login["refreshtoken"]
        except FileNotFoundError:
            return None
        except (BadEntry, Unavailable):
            if not os.path.lexists(self.file(key)):
                return None
            raise

    def write(self, key, login):
        self.check(create=True)
        self.master = self.master or self.master_key()
        text = seal(self.master, key, go_json(dict(zip(FIELDS, login))), secrets.token_bytes(12))
        replace(self.file(key), text.encode(), 0o600)
        remove(self.path(STAMP))

    def remove(self, key):
        if self.check():
            remove(self.file(key))

    def stamp(self):
        with contextlib.suppress(Unavailable):
            if self.check():
                replace(self.path(STAMP), b"", 0o600)

    def stamped(self, only=None):
        if time.time() - (mtime(self.path(STAMP)) or 0) >= 3600:
            return False
        with open(self.path(STAMP), "rb") as file:
            return only is None or file.read() == only


class Loader(yaml.SafeLoader):
    pass


class Dumper(yaml.SafeDumper):
    pass


for kind in Loader, Dumper:  # A time is text.
    kind.yaml_implicit_resolvers = {
        first: [rule for rule in rules if not rule[0].endswith(":timestamp")]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Logins:
    """The logins of config.yaml and of the vault."""

    def __init__(self):
        home = os.environ.get("ASTRO_HOME") or os.environ["HOME"]
        self.path = canonical(os.path.join(home, ".astro/config.yaml"))
        self.vault, self.touched = Vault(), set()
        self.settings = self.load()

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return yaml.load(file, Loader) or {}
        except FileNotFoundError:
            return {}

    def key(self, context):
        return f"login:{hashlib.sha256(self.path.encode()).digest()[:16].hex()}:{context.lower()}"

    def contexts(self):
        return self.settings.setdefault("contexts", {})

    def fields(self, context, settings=None):
        found = ((settings or self.load()).get("contexts") or {}).get(context) or {}
        return tuple(found.get(name) if isinstance(found.get(name), str) else "" for name in FIELDS)

    def siblings(self, context):
        def tenant(name):
            found = self.contexts().get(name) or {}
            return found.get("auth_domain"), found.get("auth_client_id")

        same = all(tenant(context))
        return [name for name in self.contexts() if name == context or same and tenant(name) == tenant(context)]

    def write(self, changes, only_if=None):
        with locked(f"{self.path}.lock", 1, 10, 0.1) as held:
            if not held:
                raise Failed("config.yaml is locked")
            now = self.load()
            if only_if and any(self.fields(context, now) != fields for context, fields in only_if.items()):
                return
            for context, fields in self.contexts().items():
                if context not in self.touched:
                    fields.update(zip(FIELDS, self.fields(context, now)))
            for context, fields in changes.items():
                self.contexts().setdefault(context, {}).update(fields)
                self.touched.add(context)
            text = yaml.dump(self.settings, None, Dumper, indent=4, width=1 << 20, allow_unicode=True)
            mode = stat.S_IMODE(os.stat(self.path).st_mode) if os.path.exists(self.path) else 0o600
            replace(self.path, text.encode(), mode)

    def read(self, context):
        fields = self.fields(context)
        if fields != POINTER:
            return None if fields == NOTHING else fields
        try:
            return self.vault.read(self.key(context))
        except (BadEntry, Unavailable) as error:
            if isinstance(error, Unavailable):
                self.vault.stamp()
            print(f"Could not read your saved Astro login from the local secrets vault: {error}", file=sys.stderr)
            return None

    def resolve(self, context):
        fields, key, vault = self.fields(context), self.key(context), self.vault
        if fields == POINTER:
            return self.read(context)
        with contextlib.suppress(Unavailable):
            written = mtime(vault.file(key)) if vault.check() else None
            if fields == NOTHING:
                if written and time.time() - written >= 120:
                    vault.remove(key)
                return None
            if not os.path.lexists(vault.marker(key)) and not vault.stamped():
                self.move_in(context, fields, key, written)
        return fields

    def move_in(self, context, fields, key, written):
        try:
            try:
                entry = self.vault.read(key)
            except BadEntry:
                entry = None
            if entry not in (None, fields):
                if written <= mtime(self.path):
                    replace(self.vault.marker(key), b"", 0o600)
                    self.vault.remove(key)
                return
            self.vault.write(key, fields)
        except Unavailable:
            self.vault.stamp()
            raise
        self.write({context: dict(zip(FIELDS, POINTER))}, {context: fields})

    def save(self, context, login):
        """What the fields are to be."""
        key, vault = self.key(context), self.vault
        try:
            if login == NOTHING or os.path.lexists(vault.marker(key)) or vault.stamped(b"timeout"):
                vault.remove(key)
                return login
            vault.write(key, login)
            return POINTER
        except (Unavailable, OSError):
            vault.stamp()
            with contextlib.suppress(Unavailable):
                vault.remove(key)
            return login

    def store(self, contexts, old, login, rest):
        """Four saves, each of them first into the vault, then into config.yaml."""
        steps = [((login[0], old[1]), {}), (login, {}), *((login, {name: value}) for name, value in rest.items())]
        for saved, others in steps:
            self.write({name: {**dict(zip(FIELDS, self.save(name, saved))), **others} for name in contexts})

    def look(self, context):
        """What there is of this context, whatever counts."""
        key, vault = self.key(context), self.vault
        try:
            entry = vault.read(key)
        except (BadEntry, Unavailable) as error:
            entry = str(error)
        found = {"fields": self.fields(context), "entry": entry, "marker": os.path.lexists(vault.marker(key))}
        return {**found, "file": vault.file(key), "marker_file": vault.marker(key)}

    def log_in(self, context, response, extra):
        self.contexts().setdefault(context, {}).update({"domain": context, **extra})
        self.settings["context"] = context
        login = (f"Bearer {response['access_token']}", response.get("refresh_token", ""))
        contexts = self.siblings(context) if login[1] else [context]
        self.store(contexts, NOTHING, login, {"expiresin": end(response), "user_email": extra.get("user_email", "")})

    def log_out(self, context):
        contexts = self.siblings(context)
        if self.settings.get("context") == context:
            self.settings["context"] = ""
        fields = {name: {**dict(zip(FIELDS, self.save(name, NOTHING))), "user_email": ""} for name in contexts}
        self.write(fields)

    def token(self, context):
        login = self.resolve(context)
        if not login or not login[0]:
            raise Failed("no token found. Please run 'astro login' to authenticate")
        if not login[1] or fresh((self.contexts().get(context) or {}).get("expiresin")):
            return login[0]
        with locked(f"{self.path}.renew.lock", 6, 5, 0.01):
            login_now = self.read(context)
            if not login_now:
                raise Failed("no token found. Please run 'astro login' to authenticate")
            if login_now[0] != login[0]:
                return login_now[0]
            response = renew(self.contexts()[context], login_now[1])
            new = (f"Bearer {response['access_token']}", response.get("refresh_token") or login_now[1])
            email = self.contexts()[context].get("user_email", "")
            self.store(self.siblings(context), login_now, new, {"expiresin": end(response), "user_email": email})
            return new[0]


def end(response):
    time_left = datetime.timedelta(seconds=response["expires_in"])
    return f"{datetime.datetime.now(datetime.timezone.utc) + time_left:%Y-%m-%dT%H:%M:%S.%f}000Z"


def fresh(text):
    try:
        at = datetime.datetime.fromisoformat(f"{text[:19]}+00:00")
    except (TypeError, ValueError):
        return False
    return at - datetime.datetime.now(datetime.timezone.utc) >= datetime.timedelta(minutes=5)


def renew(context, refresh):
    form = {"client_id": context["auth_client_id"], "grant_type": "refresh_token", "refresh_token": refresh}
    request = urllib.request.Request(f"{context['auth_domain']}oauth/token", urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except (OSError, ValueError) as error:
        raise Failed(f"could not renew your Astro login, run 'astro login' to log in again: {error}") from error


def check_vectors(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)["vectors"]
    for vector in vectors:
        logins, vault = Logins(), Vault()
        logins.path, vault.master = vector["config_path"], base64.b64decode(vector["master_key"])
        key = logins.key(vector["context_key"])
        nonce = base64.b64decode(vector["content"].split(":")[-1][:-2])[:12]
        login = members(vector["plaintext"], token=str, refreshtoken=str)
        assert (key, kid(vault.master)) == (vector["key"], vector["kid"]), vector["name"]
        names = [os.path.basename(path) for path in (vault.file(key), vault.marker(key))]
        assert names == [vector["file"], vector["marker"]], vector["name"]
        assert vault.open(key, vector["content"]) == vector["plaintext"] == go_json(login), vector["name"]
        assert seal(vault.master, key, vector["plaintext"], nonce) == vector["content"], vector["name"]
    return len(vectors)


def main(command, *arguments):
    logins = Logins()
    if command == "vectors":
        return check_vectors(*arguments)
    if command == "key":  # As anyone who needs it first.
        logins.vault.check(create=True)
        return base64.b64encode(logins.vault.master_key()).decode()
    context = arguments[0].replace(".", "_")
    key = logins.key(context)
    if command == "look":
        return logins.look(context)
    if command == "read":
        return logins.read(context)
    if command == "resolve":
        return logins.resolve(context)
    if command == "token":
        return logins.token(context)
    if command == "login":  # What the issuer gave, and other fields of the context.
        return logins.log_in(context, *json.loads(arguments[1]))
    if command == "save":
        login = tuple(arguments[1:])
        return logins.write({context: dict(zip(FIELDS, logins.save(context, login)))})
    if command == "resume":
        return remove(logins.vault.marker(key))
    if command == "logout":
        return logins.log_out(context)
    raise Failed(f"no such command: {command}")


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "--wait":
        print("ready", flush=True)
        sys.stdin.read()
        del words[0]
    try:
        print(json.dumps(main(*words)))
    except Failed as failure:
        sys.exit(f"Error: {failure}")
