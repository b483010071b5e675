// Parse Server behind Express, as its own README mounts it. It runs among its own packages.
import { createRequire } from "node:module";
import { join } from "node:path";

const { PEER_FOLDER, PEER_DATABASE_URI, PEER_PORT, PEER_KEY } = process.env;
const required = createRequire(join(PEER_FOLDER, "package.json"));
const { ParseServer } = required("parse-server");
const express = required("express");

const server = new ParseServer({
  databaseURI: PEER_DATABASE_URI,
  appId: "benchmarks",
  masterKey: PEER_KEY,
  serverURL: `http://127.0.0.1:${PEER_PORT}/parse`,
  silent: true,
  logsFolder: null,
});
await server.start();
const app = express();
app.use("/parse", server.app);
app.listen(Number(PEER_PORT), "127.0.0.1");
