// Logs in at the pages of provider.mjs, as a browser would, and prints what the client gets back: JSON.
// usage: node login.mjs ADDRESS USER
const [address, user] = process.argv.slice(2);
const cookies = new Map();

const ask = async (url, form) => {
  const response = await fetch(url, {
    redirect: 'manual',
    method: form ? 'POST' : 'GET',
    headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    body: form && new URLSearchParams(form),
  });
  for (const cookie of response.headers.getSetCookie()) {
    const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
    cookies.set(name, value);
  }
  const location = response.headers.get('location');
  return { status: response.status, location: location && new URL(location, url), text: await response.text() };
};

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
