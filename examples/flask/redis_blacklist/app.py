"""The Redis example of flask-jwt-extended 3, an allow-list, behind Portcullis.

The Redis client, the loader and the keys' expiry are gone. The gateway sees the tokens that the two log-in
routes hand out, and lets no other pass; the two revoking routes tell it.
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


@app.post("/auth/login")
def login():
    username = request.json.get("username", None)
    password = request.json.get("password", None)
    if username != "test" or password != "test":
        return jsonify(msg="Bad username or password"), 401
    tokens = jsonify(
        access_token=create_access_token(identity=username),
        refresh_token=create_refresh_token(identity=username),
    )
    return tokens, 201


@app.post("/auth/refresh")
@jwt_required(refresh=True)
def refresh():
    return jsonify(access_token=create_access_token(identity=get_jwt_identity())), 201


# Revokes the current user's access token.
@app.delete("/auth/access_revoke")
@jwt_required()
def logout():
    revoke(bearer(request))
    return jsonify(msg="Access token revoked")


# Revokes the current user's refresh token.
@app.delete("/auth/refresh_revoke")
@jwt_required(refresh=True)
def logout2():
    revoke(bearer(request))
    return jsonify(msg="Refresh token revoked")


@app.get("/protected")
@jwt_required()
def protected():
    return jsonify(hello="world")


if __name__ == "__main__":
    app.run(port=5000)
