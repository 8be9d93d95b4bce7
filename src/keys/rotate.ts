import { VaultError } from '../errors.ts'
import { ENVIRONMENTS, type Environment, type WorkspaceId } from '../ids.ts'
import type { AuditPrincipal } from '../ledger/index.ts'
import { createKeyTable, getKeySweep, guard, requestKeySweep, type KeySweep } from '../store/index.ts'
import type { KeysOptions } from './options.ts'

/** Who asks. */
export interface KeyCaller {
  readonly by: string
  readonly principal: AuditPrincipal
  readonly requestId?: string | undefined
}

/** `kek`: keys are wrapped again, under the current KEK. `workspace`, `system`: they are replaced. */
export type RotationTarget = { readonly rowsPerSecond?: number } & (
  | { readonly target: 'kek' }
  | { readonly target: 'system' }
  | { readonly target: 'workspace', readonly workspaceId: WorkspaceId | undefined, readonly environment: Environment | undefined }
)

/** What ops ask for. The work itself is the sweep's: any process goes on with it, after any crash. */
export function createRotation ({ database, ledger }: Pick<KeysOptions, 'database' | 'ledger'>) {
  const request = async (caller: KeyCaller, of: Omit<Parameters<typeof requestKeySweep>[1], 'by'>): Promise<KeySweep> => {
    await database.transaction(async (tx) => {
      if (!await requestKeySweep(tx, { ...of, by: caller.by })) {
        throw new VaultError('rotation_running', { detail: 'Keys are being replaced for an earlier request. Repeat this one when they are.', retryAfterSeconds: 5 })
      }
      const { rotate } = of
      await ledger.recordIn(tx, {
        event: 'key.sweep_requested', outcome: 'ok', principal: caller.principal, requestId: caller.requestId,
        workspaceId: rotate?.workspaceId, environment: rotate?.environment,
        details: { target: of.rewrap === true ? 'kek' : rotate?.kind ?? 'rows', ...of.rowsPerSecond !== undefined && { rows_per_second: of.rowsPerSecond } },
      })
    })
    return await getKeySweep(database.db)
  }
  const keyTable = createKeyTable(database.reads)
  /** Throws `not_found` where there is nothing to replace: a name that was mistyped would pass for done. */
  const requireKeys = async (workspaceId: WorkspaceId, environment: Environment | undefined): Promise<void> => {
    const environments = environment === undefined ? ENVIRONMENTS : [environment]
    const found = await guard(() => Promise.all(environments.map((of) => keyTable.findCurrent({ kind: 'workspace', workspaceId, environment: of }))))
    if (found.some((key) => key !== undefined)) return
    throw new VaultError('not_found', { detail: `The workspace ${workspaceId} has no keys${environment === undefined ? '' : ` in ${environment}`}: nothing has been sealed there, or it was destroyed.` })
  }
  return {
    /** Asks for keys to be replaced or wrapped again, and for what they sealed to be sealed again. Throws `rotation_running`, `not_found`. */
    rotate: async (of: RotationTarget, caller: KeyCaller): Promise<KeySweep> => {
      const fast = of.rowsPerSecond === undefined ? {} : { rowsPerSecond: of.rowsPerSecond }
      if (of.target === 'kek') return await request(caller, { rewrap: true, ...fast })
      if (of.target === 'system') return await request(caller, { rotate: { kind: 'system' }, ...fast })
      const { workspaceId, environment } = of
      if (workspaceId !== undefined) await requireKeys(workspaceId, environment)
      return await request(caller, { rotate: { kind: 'workspace', ...workspaceId !== undefined && { workspaceId }, ...environment !== undefined && { environment } }, ...fast })
    },
    /** Asks for what replaced keys sealed to be sealed again, or changes how fast that goes on. */
    sweep: async (options: { rowsPerSecond?: number }, caller: KeyCaller): Promise<KeySweep> => await request(caller, options),
    sweepStatus: async (): Promise<KeySweep> => await guard(() => getKeySweep(database.db)),
  }
}
