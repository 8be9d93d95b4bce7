/** Shaped like a key and worth nothing: Stripe has never issued it. */
const EXAMPLE_KEY = ['sk', 'test', 'ExampleOnlyNotARealKey4242'].join('_')

/** What every start prints: where everything is. */
export function greet (urls: { internal: string }, tokenFile: string): string {
  return `
connection-vault listens on ${urls.internal} (reference: ${urls.internal}/docs)
The ops token lies in ${tokenFile}.`
}

/** What a first start prints: the same, and lines to paste. */
export function welcome (urls: { internal: string }, tokenFile: string): string {
  const workspace = `${urls.internal}/v1/workspaces/acme`
  const curl = (line: string) => `  curl -sS -H "Authorization: Bearer $TOKEN" ${line}`
  const post = (path: string, body: object) => curl(`-H 'Content-Type: application/json' \\
    -d '${JSON.stringify(body)}' ${path}`)
  return `${greet(urls, tokenFile)} To try it, paste:

  TOKEN=$(cat ${tokenFile})

Create a connection, and remember its id:

  ID=$(curl -sS -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -d '${JSON.stringify({ integration: 'stripe', environment: 'sandbox', name: 'Stripe Sandbox', credentials: { secret_key: EXAMPLE_KEY } })}' \\
    ${workspace}/connections | sed 's/.*"id":"\\(conn_[a-z0-9]*\\)".*/\\1/'); echo $ID

Show it, masked:

${curl(`${workspace}/connections/$ID`)}

Resolve it (for runtimes that call the provider themselves):

${post(`${workspace}/connections/$ID/resolve`, { environment: 'sandbox' })}

Invoke an action; dry_run shows the request and sends nothing (leave it out with a key of your own):

${post(`${workspace}/connections/$ID/invoke`, { environment: 'sandbox', action: 'create_payment_intent', input: { amount: 2000, currency: 'usd' }, dry_run: true })}

What happened is on record:

${curl(`${workspace}/audit-events`)}
`
}
