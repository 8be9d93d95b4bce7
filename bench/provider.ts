import { createServer } from 'node:http'

/** A provider that answers at once: what is left is the way there and back. */
const body = JSON.stringify({ object: 'balance', livemode: false, available: [{ amount: 1200, currency: 'usd' }], pending: [] })
const server = createServer((request, reply) => {
  request.resume().on('end', () => { reply.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body) })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => { console.log(`http://127.0.0.1:${(server.address() as { port: number }).port}`) })
