import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

/** A network between the vault and its database that can hold back what is sent, as one does that has lost its route: nothing is refused, nothing closed. */
export interface DatabaseProxy {
  /** The same database by way of the proxy. */
  readonly url: string
  /** How many connections have been opened through it. */
  opened (): number
  /** Passes nothing on, not even the end of a connection, until told otherwise: then all of it. */
  hold (holding: boolean): void
  /** Leads to another server from now on, and ends what leads to the one before. */
  retarget (url: string): void
  close (): Promise<void>
}

/** Listens on TCP and passes on to the socket that a Postgres URL names. */
export async function startDatabaseProxy (url: string): Promise<DatabaseProxy> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  const state = { holding: false, opened: 0, path: socketOf(url) }
  const pass = (from: Socket, to: Socket) => {
    sockets.add(from)
    from.on('data', (chunk) => { to.write(chunk) }).on('error', () => {}).on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
    if (state.holding) from.pause()
  }
  const server = createServer((near) => {
    state.opened++
    const far = connect(state.path)
    pass(near, far)
    pass(far, near)
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  const through = new URL(url.replace(target.search, ''))
  through.hostname = '127.0.0.1'
  through.port = String(port)
  return {
    url: through.href,
    opened: () => state.opened,
    hold: (holding) => {
      state.holding = holding
      for (const socket of sockets) if (holding) socket.pause(); else socket.resume()
    },
    retarget: (next) => {
      state.path = socketOf(next)
      for (const socket of sockets) socket.destroy()
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }
}

function socketOf (url: string): string {
  const { searchParams, port } = new URL(url)
  return `${searchParams.get('host') ?? ''}/.s.PGSQL.${port === '' ? '5432' : port}`
}
