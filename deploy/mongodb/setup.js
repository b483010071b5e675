// Run by mongosh beside the first member: the set, its administrator, the gateway's role and user. Twice is fine.
const fs = require("fs");
const secret = (name) => fs.readFileSync("/run/secrets/" + name, "utf8").trim();
const members = ["mongo1", "mongo2", "mongo3"];
const connection = new Mongo("mongodb://127.0.0.1/?directConnection=true");
const admin = connection.getDB("admin");

function asAdministrator() {
  try {
    return admin.auth("admin", secret("mongodb_admin_password")).ok === 1;
  } catch (error) {
    return false;
  }
}

if (!asAdministrator()) {
  try {
    // The first of them is preferred: the users are made there.
    admin.runCommand({
      replSetInitiate: {
        _id: "rs0",
        members: members.map((host, n) => ({ _id: n, host: host + ":27017", priority: n === 0 ? 2 : 1 })),
      },
    });
  } catch (error) {
    if (error.codeName !== "AlreadyInitialized") throw error;
  }
  for (let waited = 0; !admin.hello().isWritablePrimary; waited++) {
    if (waited > 60) throw new Error("mongo1 does not become primary");
    sleep(1000);
  }
  admin.createUser({ user: "admin", pwd: secret("mongodb_admin_password"), roles: ["root"] });
  if (!asAdministrator()) throw new Error("the administrator is not known");
}

const role = JSON.parse(fs.readFileSync("/setup/role.json", "utf8"));
if (admin.getRole(role.createRole) === null) admin.runCommand(role);
else admin.runCommand({ updateRole: role.createRole, privileges: role.privileges, roles: role.roles });

const gateway = { pwd: secret("mongodb_gateway_password"), roles: [role.createRole] };
if (admin.getUser("gateway") === null) admin.createUser({ user: "gateway", ...gateway });
else admin.updateUser("gateway", gateway);
print("the set is ready");
