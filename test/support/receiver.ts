import { Webhook } from 'standardwebhooks'
import { startProvider, type Answer, type Provider, type Received } from './provider.ts'
import { eventually, type TestVault } from './vault.ts'

/** What a webhook was sent. */
export interface Delivery {
  readonly id: string
  readonly type: string
  readonly timestamp: string
  readonly data: Record<string, unknown>
}

export interface Receiver extends Provider {
  readonly hook: string
  /** What it got, parsed; nothing checked. */
  deliveries (): Delivery[]
}

const NO_CONTENT: Answer = (_received, reply) => { reply.writeHead(204).end() }

/** An endpoint of the host product on loopback. */
export async function startReceiver (answer: Answer = NO_CONTENT): Promise<Receiver> {
  const provider = await startProvider(answer)
  const receiver: Receiver = Object.assign(provider, {
    hook: `${provider.url}/hooks`,
    deliveries: () => provider.received.map(({ body }) => JSON.parse(body) as Delivery),
  })
  return receiver
}

/** Checks a delivery as a receiver would, with the library of Standard Webhooks; throws when it is not genuine. */
export function verify (secret: string, { body, headers }: Pick<Received, 'body' | 'headers'>): Delivery {
  return new Webhook(secret).verify(body, headers as Record<string, string>) as Delivery
}

/** Forgets what came, and takes everything again. */
export function clear (...of: Receiver[]): void {
  for (const receiver of of) {
    receiver.received.length = 0
    receiver.answer = NO_CONTENT
  }
}

export interface Hook {
  readonly id: string
  readonly secret: string
}

export const hook = (id: string): string => `/v1/webhooks/${id}`

/** What tests do with a vault's webhooks. */
export function createHooks (vault: Pick<TestVault, 'request'>) {
  return {
    make: async (receiver: Receiver, more = {}): Promise<Hook> => {
      const { status, body, text } = await vault.request('POST', '/v1/webhooks', { body: { url: receiver.hook, ...more } })
      if (status !== 201) throw new Error(text)
      return { id: body.webhook.id as string, secret: body.secret as string }
    },
    view: async ({ id }: Hook) => (await vault.request('GET', hook(id))).body as Record<string, unknown>,
    listed: async ({ id }: Hook, query = '') => (await vault.request('GET', `${hook(id)}/deliveries${query}`)).body.deliveries as Record<string, unknown>[],
    remove: async (...hooks: Hook[]) => { for (const { id } of hooks) await vault.request('DELETE', hook(id)) },
    got: async (receiver: Receiver, count: number) => await eventually(async () => receiver.received.length >= count && receiver.deliveries()),
  }
}
