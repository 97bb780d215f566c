// Logs in at the pages of provider.mjs, as a browser would, and prints what the client gets back: JSON.
// usage: node login.mjs ADDRESS USER
import { request as clear } from 'node:http';
import { request as encrypted } from 'node:https';

const [address, user] = process.argv.slice(2);
const cookies = new Map();

// Not fetch: Debian's has no getSetCookie.
const ask = (url, form) => new Promise((resolve, reject) => {
  const body = form && new URLSearchParams(form).toString();
  const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  if (body) {
    headers['content-type'] = 'application/x-www-form-urlencoded';
    headers['content-length'] = Buffer.byteLength(body);
  }
  const begin = url.protocol === 'https:' ? encrypted : clear;
  const asked = begin(url, { method: body ? 'POST' : 'GET', headers }, (response) => {
    for (const cookie of response.headers['set-cookie'] ?? []) {
      const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
      cookies.set(name, value);
    }
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (part) => { text += part; });
    response.on('error', reject);
    response.on('end', () => {
      const location = response.headers.location;
      resolve({ status: response.statusCode, location: location && new URL(location, url), text });
    });
  });
  asked.on('error', reject);
  asked.end(body);
});

let url = new URL(address);
const own = url.origin;
for (let page = 0; page < 20; page++) {
  const { status, location, text } = await ask(url);
  if (location) {
    url = location;
    if (url.origin !== own) {
      console.log(JSON.stringify(Object.fromEntries(url.searchParams)));
      process.exit(0);
    }
    continue;
  }
  const prompt = text.match(/name="prompt" value="(\w+)"/)?.[1];
  const action = text.match(/action="([^"]+)"/)?.[1];
  if (!prompt || !action) {
    console.error(`${status} at ${url}: ${text}`);
    process.exit(1);
  }
  ({ location: url } = await ask(new URL(action, url), { prompt, login: user, password: 'whatever' }));
}
console.error('too many pages');
process.exit(1);
