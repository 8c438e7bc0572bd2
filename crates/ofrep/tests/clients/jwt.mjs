// Keys and tokens by another implementation: one line of JSON with the public keys (JWKS) and,
// by algorithm, a token that each signed. The claims come as the first argument.
import { generateKeyPairSync, sign, createHmac, constants } from 'node:crypto';

const claims = JSON.parse(process.argv[2]);
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const kinds = {
  RS256: [['rsa', { modulusLength: 2048 }], 'sha256', {}],
  PS256: [
    ['rsa', { modulusLength: 2048 }],
    'sha256',
    { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
  ],
  ES256: [['ec', { namedCurve: 'P-256' }], 'sha256', { dsaEncoding: 'ieee-p1363' }],
  ES384: [['ec', { namedCurve: 'P-384' }], 'sha384', { dsaEncoding: 'ieee-p1363' }],
  EdDSA: [['ed25519', {}], null, {}],
};
const keys = [];
const tokens = {};
for (const [alg, [[type, options], digest, more]] of Object.entries(kinds)) {
  const { privateKey, publicKey } = generateKeyPairSync(type, options);
  keys.push({ ...publicKey.export({ format: 'jwk' }), kid: alg, use: 'sig' });
  const text = `${part({ alg, kid: alg, typ: 'JWT' })}.${part(claims)}`;
  tokens[alg] = `${text}.${sign(digest, Buffer.from(text), { key: privateKey, ...more }).toString('base64url')}`;
  if (alg === 'RS256') {
    // The public key as if it were a shared secret, which everybody could sign with.
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    const forged = `${part({ alg: 'HS256', kid: alg, typ: 'JWT' })}.${part(claims)}`;
    tokens.forged = `${forged}.${createHmac('sha256', pem).update(forged).digest('base64url')}`;
  }
}
// Signed by a key that nobody published.
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const text = `${part({ alg: 'ES256', kid: 'ES256', typ: 'JWT' })}.${part(claims)}`;
const key = { key: privateKey, dsaEncoding: 'ieee-p1363' };
tokens.stranger = `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
console.log(JSON.stringify({ jwks: { keys }, tokens }));
