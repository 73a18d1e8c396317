"""The database block-list example of flask-jwt-extended, behind Portcullis.

The table, its model and the loader are gone; who revoked what and when is in the gateway's store
(`portcullis list`).
"""

import os
import sys

from flask import Flask, jsonify, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt,
    jwt_required,
)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from portcullis import bearer, revoke  # noqa: E402

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = open(os.environ["JWT_SECRET_FILE"]).read().strip()
JWTManager(app)


@app.post("/login")
def login():
    return jsonify(
        access_token=create_access_token(identity="example_user"),
        refresh_token=create_refresh_token(identity="example_user"),
    )


# Revokes whichever token it is called with.
@app.delete("/logout")
@jwt_required(verify_type=False)
def modify_token():
    revoke(bearer(request))
    kind = get_jwt()["type"]
    return jsonify(msg=f"{kind.capitalize()} token successfully revoked")


@app.get("/protected")
@jwt_required()
def protected():
    return jsonify(hello="world")


if __name__ == "__main__":
    app.run(port=5000)
