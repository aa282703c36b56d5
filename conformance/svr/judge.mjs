// Holds an SVR of `deepring verify --svr` against @sigstore/verify: accepted under its key, refused when anything of it is changed.
//
// usage: node judge.mjs BUNDLE.json PUBLIC.pem RING_DIGEST OTHER.pem
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";

const [bundlePath, publicPath, ringDigest, otherPath] = process.argv.slice(2);
const text = readFileSync(bundlePath, "utf8");

// Nothing of Sigstore's infrastructure is trusted: no roots, no logs, no time stamps. The key is the one that the reader has.
const nothing = {
  mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
  certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [],
};
const hint = JSON.parse(text).verificationMaterial.publicKey.hint;

function accepted(json, keyPath) {
  const key = { publicKey: createPublicKey(readFileSync(keyPath)), validFor: () => true };
  const material = toTrustMaterial(nothing, (asked) => {
    if (asked !== hint) throw new Error(`asked for the key ${asked}`);
    return key;
  });
  const verifier = new Verifier(material, { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 });
  verifier.verify(toSignedEntity(bundleFromJSON(json)));
}

function refused(what, change, keyPath = publicPath) {
  const json = JSON.parse(text);
  change(json);
  try {
    accepted(json, keyPath);
  } catch (e) {
    console.log(`ok: refused, ${what} (${e.code ?? e.constructor.name})`);
    return;
  }
  throw new Error(`accepted, although ${what}`);
}

accepted(JSON.parse(text), publicPath);
const envelope = JSON.parse(text).dsseEnvelope;
const statement = JSON.parse(Buffer.from(envelope.payload, "base64"));
if (statement.predicateType !== "https://in-toto.io/attestation/svr/v0.1") throw new Error("another predicate");
if (statement.subject[0].digest.deepringRingDigest !== ringDigest) throw new Error("another subject");
console.log("ok: accepted by @sigstore/verify, about this ring");

refused("the payload says another version", (json) => {
  const changed = { ...statement, predicate: { ...statement.predicate, properties: ["DEEPRING_MODEL_VERSION_99"] } };
  json.dsseEnvelope.payload = Buffer.from(JSON.stringify(changed)).toString("base64");
});
refused("the payload is of another type", (json) => { json.dsseEnvelope.payloadType = "application/json"; });
refused("the signature is another one", (json) => {
  const bytes = Buffer.from(json.dsseEnvelope.signatures[0].sig, "base64");
  bytes[bytes.length - 1] ^= 1;
  json.dsseEnvelope.signatures[0].sig = bytes.toString("base64");
});
refused("there is no signature", (json) => { json.dsseEnvelope.signatures = []; });
refused("the key is another one", () => {}, otherPath);
console.log("svr: @sigstore/verify agrees");
