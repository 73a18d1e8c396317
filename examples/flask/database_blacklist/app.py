"""The database example of flask-jwt-extended 3, an allow-list, behind Portcullis.

The table, its model, the loader, the pruning and the two routes on a user's tokens are gone. The gateway
keeps the register of what the two log-in routes hand out, lets no other token pass, and answers
`GET /auth/token` and `PUT /auth/token/<id>` itself.
"""

import os

from flask import Flask, jsonify, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt_identity,
    jwt_required,
)

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


@app.get("/protected")
@jwt_required()
def protected():
    return jsonify(hello="world")


if __name__ == "__main__":
    app.run(port=5000)
