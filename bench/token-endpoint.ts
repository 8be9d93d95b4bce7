import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A provider that takes 50 ms for every token. */
const DELAY_MS = 50
/** How long its tokens last. */
const SECONDS = Number(process.env['TOKEN_SECONDS'] ?? 3_600)

const server = createServer((request, reply) => {
  request.resume().on('end', () => {
    setTimeout(() => {
      const body = { access_token: randomBytes(24).toString('hex'), refresh_token: randomBytes(24).toString('hex'), token_type: 'Bearer', expires_in: SECONDS }
      reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }, DELAY_MS)
  })
})
server.listen(0, '127.0.0.1', () => { console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) })
