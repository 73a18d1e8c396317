"""What the scripts of the benches share."""
import base64, os, signal, subprocess, tempfile, uuid


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def identifier(number):
    """The number's own identifier; they come in no order."""
    return str(uuid.UUID(int=(number * 0x9E3779B97F4A7C15 % 2**64) << 64 | number))


class Folder:
    """Where a bench keeps its files: the folder that the variable names, or one of that name in the temporary directory."""

    def __init__(self, variable, name):
        self.root = os.environ.get(variable) or os.path.join(tempfile.gettempdir(), name)

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
