import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openAwsKms, openVaultTransit, type KekTransport } from '../../src/crypto/index.ts'
import { createEgress } from '../../src/egress/index.ts'
import type { VaultError } from '../../src/errors.ts'
import { createMetrics } from '../../src/metrics.ts'
import { makeFolder } from './folder.ts'
import type { Happening } from './kek-conformance.ts'
import { provideAwsCredentials, startKms } from './kms.ts'
import { startTransit } from './transit.ts'
import type { Troubles } from './troubles.ts'

export const KEK_CONTEXT = Buffer.from('a context')
export const TRANSIT_TOKEN = 'hvs.CAESIJCanaryToken0001'

/** Both remote providers, their stand-ins, and all that was reached over their transport. */
export async function stageKeks () {
  provideAwsCredentials()
  const dir = makeFolder('kek')
  const tokenFile = join(dir, 'token')
  writeFileSync(tokenFile, `${TRANSIT_TOKEN}\n`)
  const kms = await startKms()
  const transit = await startTransit(TRANSIT_TOKEN)
  const egress = createEgress({ exceptions: { kek: new Set([kms.endpoint, transit.endpoint]) }, metrics: createMetrics() })
  const reached = new Set<string>()
  const transport: KekTransport = async (request) => {
    reached.add(request.url.host)
    return await egress.send('kek', request)
  }
  return {
    dir, tokenFile, kms, transit, reached,
    openKms: async () => await openAwsKms({ endpoint: new URL(kms.url) }, transport),
    openTransit: ({ address, mount = 'transit', namespace }: { address?: string, mount?: string, namespace?: string } = {}) =>
      openVaultTransit({ address: new URL(address ?? transit.url), mount, tokenFile, ...namespace !== undefined && { namespace } }, transport),
    close: async () => {
      await Promise.all([kms.close(), transit.close()])
      await egress.close()
    },
  }
}

/** The word for the log with which work fails as `kek_unavailable`. */
export async function reasonOf (work: Promise<unknown>): Promise<string> {
  return await work.then(() => 'it worked', (error: unknown) => ((error as VaultError).details.cause as { code: string }).code)
}

export function happenings<Own extends string> (troubles: Troubles<Own>, names: readonly Parameters<Troubles<Own>['begin']>[0][]): Happening[] {
  return names.map((name) => ({ name, begin: () => { troubles.begin(name) }, end: () => { troubles.end() } }))
}

export function unreachable (of: { setReachable (reachable: boolean): Promise<void> }): Happening {
  return { name: 'unreachable', begin: async () => { await of.setReachable(false) }, end: async () => { await of.setReachable(true) } }
}

export function tooSlow (troubles: Troubles<never>): Happening {
  return { name: 'too slow', begin: () => { troubles.begin('slow', { ms: 8_000 }) }, end: () => { troubles.end() } }
}
