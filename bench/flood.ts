import { connect, type Socket } from 'node:net'

/**
 * A load generator, a process of its own: requests are sent when they are due, however
 * late answers are, as callers do that know nothing of each other. Over bare sockets, so that it
 * takes as little as it can from what it measures.
 */
export interface FloodCaller {
  readonly name: string
  /** 0: as fast as answers come, one request a socket at a time. */
  readonly perSecond: number
  readonly sockets: number
  /** Whole requests as they go over the wire, sent in turn. */
  readonly requests: readonly string[]
}

export interface FloodOrder {
  readonly url: string
  readonly seconds: number
  /** What is sent in the first seconds of these is not counted: connections are made, and an overload begins. */
  readonly warmUpSeconds: number
  readonly callers: readonly FloodCaller[]
}

/** Of the requests sent after the warm-up. */
export interface FloodResult {
  readonly name: string
  readonly sent: number
  readonly ok: number
  /** 503 with a Retry-After. */
  readonly refused: number
  /** Anything else, or none at all. */
  readonly wrong: number
  /** Due when all connections were waiting for answers, and so held back by the caller itself. */
  readonly unsent: number
  readonly okMs: { readonly p50: number, readonly p99: number }
  readonly refusedMs: { readonly p50: number, readonly p99: number, readonly most: number }
}

const HEAD_END = Buffer.from('\r\n\r\n')
/** Answers to what was sent before the end are waited for. */
const GRACE_MS = 2_000

const order = JSON.parse(await new Response(process.stdin).text()) as FloodOrder
const { hostname, port } = new URL(order.url)
const startMs = performance.now()
const fromMs = startMs + order.warmUpSeconds * 1_000
const endMs = fromMs + order.seconds * 1_000
const results = await Promise.all(order.callers.map(flood))
process.stdout.write(JSON.stringify(results))
process.exit(0)

async function flood (caller: FloodCaller): Promise<FloodResult> {
  const counts = { sent: 0, ok: 0, refused: 0, wrong: 0, unsent: 0 }
  const okMs: number[] = []
  const refusedMs: number[] = []
  const idle: Line[] = []
  // In turn, and never to be counted twice.
  let next = 0
  let due = 0
  const note = (head: string, sentMs: number): void => {
    if (sentMs < fromMs) return
    const ms = performance.now() - sentMs
    if (head.startsWith('HTTP/1.1 2')) {
      counts.ok++
      okMs.push(ms)
    } else if (head.startsWith('HTTP/1.1 503') && /^retry-after: \d+$/im.test(head)) {
      counts.refused++
      refusedMs.push(ms)
    } else {
      counts.wrong++
    }
  }
  const open = (): Line => openLine((line, head, sentMs) => {
    note(head, sentMs)
    if (caller.perSecond === 0 && performance.now() < endMs) send(line)
    else idle.push(line)
  }, (sentMs) => {
    if (sentMs !== undefined && sentMs >= fromMs) counts.wrong++
    idle.push(open())
  })
  const send = (line: Line): void => {
    if (performance.now() >= fromMs) counts.sent++
    line.send(caller.requests[next++ % caller.requests.length] ?? '')
  }
  for (let socket = 0; socket < caller.sockets; socket++) idle.push(open())
  if (caller.perSecond === 0) for (const line of idle.splice(0)) send(line)
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const nowMs = performance.now()
      if (nowMs > endMs + GRACE_MS) {
        clearInterval(timer)
        resolve()
      }
      if (nowMs > endMs || caller.perSecond === 0) return
      for (const untilNow = Math.floor((nowMs - startMs) / 1_000 * caller.perSecond); due < untilNow; due++) {
        const line = idle.shift()
        if (line !== undefined) send(line)
        else if (nowMs >= fromMs) counts.unsent++
      }
    }, 1)
  })
  const unanswered = counts.sent - counts.ok - counts.refused - counts.wrong
  return {
    name: caller.name, ...counts, wrong: counts.wrong + unanswered,
    okMs: { p50: quantile(okMs, 0.5), p99: quantile(okMs, 0.99) },
    refusedMs: { p50: quantile(refusedMs, 0.5), p99: quantile(refusedMs, 0.99), most: quantile(refusedMs, 1) },
  }
}

interface Line {
  send (request: string): void
}

/** One connection with one request at a time. */
function openLine (answered: (line: Line, head: string, sentMs: number) => void, lost: (sentMs: number | undefined) => void): Line {
  const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true })
  let sentMs: number | undefined
  let head = ''
  let missing = 0
  const finish = (): void => {
    const said = { head, sentMs: sentMs ?? 0 }
    sentMs = undefined
    head = ''
    answered(line, said.head, said.sentMs)
  }
  socket.on('data', (chunk) => {
    if (head === '') {
      const end = chunk.indexOf(HEAD_END)
      head = chunk.toString('latin1', 0, end)
      missing = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0) - (chunk.length - end - HEAD_END.length)
    } else {
      missing -= chunk.length
    }
    if (missing <= 0) finish()
  }).on('error', () => {}).once('close', () => { if (performance.now() < endMs) lost(sentMs) })
  const line = {
    send: (request: string) => {
      sentMs = performance.now()
      socket.write(request)
    },
  }
  return line
}

function quantile (values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
