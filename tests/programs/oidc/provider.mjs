// An OpenID Connect provider with the paths of Keycloak, on 127.0.0.1.
// usage: node provider.mjs PORT PACKAGES [CERTIFICATE KEY]
// PACKAGES is where oidc-provider is installed. Anybody may log in as anybody, with any password.
import { createServer as createClear } from 'node:http';
import { createServer as createTls } from 'node:https';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [port, packages, certificate, key] = process.argv.slice(2);
const { default: Provider } = await import(createRequire(`${packages}/`).resolve('oidc-provider'));

const place = `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`;
const realm = '/realms/test';
const at = (name) => `${realm}/protocol/openid-connect/${name}`;
const redirect_uris = ['https://xpra.test/login/'];
const groups = { ann: ['staff', 'xpra'], bob: ['staff'] };
const pair = (type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig' };
};

const client = (client_id, more) => ({ client_id, redirect_uris, response_types: ['code'], ...more });
const provider = new Provider(`${place}${realm}`, {
  clients: [
    client('bulkhead', { client_secret: 'our: s&cret%' }),
    client('form', { client_secret: 'our: s&cret%', token_endpoint_auth_method: 'client_secret_post' }),
    client('public', { token_endpoint_auth_method: 'none', id_token_signed_response_alg: 'ES256' }),
    client('pss', { client_secret: 'our: s&cret%', id_token_signed_response_alg: 'PS256' }),
    client('edwards', { client_secret: 'our: s&cret%', id_token_signed_response_alg: 'EdDSA' }),
  ],
  jwks: { keys: [pair('rsa', { modulusLength: 2048 }), pair('ec', { namedCurve: 'P-256' }), pair('ed25519')] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups', 'realm_access'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      preferred_username: id,
      groups: groups[id] ?? [],
      realm_access: { roles: groups[id] ?? [] },
    }),
  }),
  pkce: { required: () => true },
  routes: {
    authorization: at('auth'),
    token: at('token'),
    userinfo: at('userinfo'),
    jwks: at('certs'),
  },
});

const answer = provider.callback();
const listener = (request, response) => {
  const description = '/.well-known/openid-configuration';
  if (request.url === `${realm}${description}`) {
    request.url = description;
  }
  // Who counts what is asked reads this.
  console.log(`asked: ${request.method} ${request.url.split('?')[0]}`);
  answer(request, response);
};
const server = certificate
  ? createTls({ cert: readFileSync(certificate), key: readFileSync(key) }, listener)
  : createClear(listener);
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
