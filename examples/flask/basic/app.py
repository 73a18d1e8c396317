"""The basic block-list example of flask-jwt-extended, behind Portcullis.

The set of revoked ids and its loader are gone: the two log-out routes tell the gateway.
"""

import os
import sys

from flask import Flask, jsonify, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from portcullis import bearer, revoke  # noqa: E402

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = open(os.environ["JWT_SECRET_FILE"]).read().strip()
JWTManager(app)


@app.post("/login")
def login():
    username = request.json.get("username", None)
    password = request.json.get("password", None)
    if username != "test" or password != "test":
        return jsonify(msg="Bad username or password"), 401
    return jsonify(
        access_token=create_access_token(identity=username),
        refresh_token=create_refresh_token(identity=username),
    )


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh():
    return jsonify(access_token=create_access_token(identity=get_jwt_identity()))


# Revokes the current user's access token.
@app.delete("/logout")
@jwt_required()
def logout():
    revoke(bearer(request))
    return jsonify(msg="Successfully logged out")


# Revokes the current user's refresh token.
@app.delete("/logout2")
@jwt_required(refresh=True)
def logout2():
    revoke(bearer(request))
    return jsonify(msg="Successfully logged out")


@app.get("/protected")
@jwt_required()
def protected():
    return jsonify(hello="world")


if __name__ == "__main__":
    app.run(port=5000)
