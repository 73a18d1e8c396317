"""The Redis block-list example of flask-jwt-extended, behind Portcullis.

The Redis client, the loader and the keys' expiry are gone: the gateway forgets a revocation by itself
once the token that it names has expired.
"""

import os
import sys
from datetime import timedelta

from flask import Flask, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, jwt_required

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from portcullis import bearer, revoke  # noqa: E402

ACCESS_EXPIRES = timedelta(hours=1)

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = open(os.environ["JWT_SECRET_FILE"]).read().strip()
app.config["JWT_ACCESS_TOKEN_EXPIRES"] = ACCESS_EXPIRES
JWTManager(app)


@app.post("/login")
def login():
    return jsonify(access_token=create_access_token(identity="example_user"))


@app.delete("/logout")
@jwt_required()
def logout():
    revoke(bearer(request))
    return jsonify(msg="Access token revoked")


@app.get("/protected")
@jwt_required()
def protected():
    return jsonify(hello="world")


if __name__ == "__main__":
    app.run(port=5000)
