"""What the scripts of the benches share."""
import base64, signal, subprocess, uuid


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def identifier(number):
    """The number's own identifier; they come in no order."""
    return str(uuid.UUID(int=(number * 0x9E3779B97F4A7C15 % 2**64) << 64 | number))


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
