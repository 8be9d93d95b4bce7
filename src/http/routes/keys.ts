import { Type } from 'typebox'
import { VaultError } from '../../errors.ts'
import { ENVIRONMENTS, type WorkspaceId } from '../../ids.ts'
import type { Certificate, KeyOverview as Overview, Keys } from '../../keys/index.ts'
import type { KeySweep } from '../../store/index.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { KeyOverview, RetireKeys, Retirement, RotateKeys, SweepKeys } from '../contract/key.ts'
import { WorkspaceParams } from '../contract/parts.ts'

const tags = ['operations']
const DAY_SECONDS = 86_400
const sweepAnswer = { 202: Type.Ref('KeySweep#') }

/** The life of keys, and the end of a workspace. */
export function keyRoutes (app: App, rooms: { keys: Keys }): void {
  changeRoutes(app, rooms)
  endRoutes(app, rooms)
}

function changeRoutes (app: App, { keys }: { keys: Keys }): void {
  app.get('/v1/keys', {
    schema: { tags, operationId: 'getKeys', summary: 'How the keys stand', response: { 200: KeyOverview } },
    config: { errors: ['kek_unavailable'] },
  }, async () => presentKeys(await keys.overview()))

  app.post('/v1/keys/rotate', {
    schema: {
      tags, operationId: 'rotateKeys', summary: 'Replace keys, or wrap them again',
      description: 'Answers at once; the work goes on in the background, at any replica, and survives restarts. New writes use a new key as soon as it is made.',
      body: RotateKeys, response: sweepAnswer,
    },
    config: { errors: ['rotation_running', 'not_found'] },
  }, async (request, reply) => {
    const { target, workspace_id: workspaceId, environment } = request.body
    if (target !== 'workspace' && (workspaceId !== undefined || environment !== undefined)) {
      throw new VaultError('request_invalid', { detail: 'The request does not fit.', errors: [{ pointer: '/target', message: 'is not narrowed by a workspace or an environment' }] })
    }
    const sweep = await keys.rotate(target === 'workspace' ? { target, workspaceId: workspaceId as WorkspaceId | undefined, environment } : { target }, callerOf(request))
    return await reply.code(202).send(presentSweep(sweep))
  })

  app.post('/v1/keys/sweep', {
    schema: {
      tags, operationId: 'sweepKeys', summary: 'Seal again what replaced keys have sealed',
      description: 'A rotation does this by itself. Asked for while it goes on, it changes how fast.', body: SweepKeys, response: sweepAnswer,
    },
    config: { errors: [] },
  }, async (request, reply) => {
    const { rows_per_second: rowsPerSecond } = request.body
    return await reply.code(202).send(presentSweep(await keys.sweep(rowsPerSecond === undefined ? {} : { rowsPerSecond }, callerOf(request))))
  })

  app.get('/v1/keys/sweep', {
    schema: { tags, operationId: 'getKeySweep', summary: 'How far the sweep is', response: { 200: Type.Ref('KeySweep#') } },
  }, async () => presentSweep(await keys.sweepStatus()))
}

function endRoutes (app: App, { keys }: { keys: Keys }): void {
  app.post('/v1/keys/retire', {
    schema: { tags, operationId: 'retireKeys', summary: 'Retire keys that nothing needs', description: 'Their bytes are erased a minute later.', body: RetireKeys, response: { 200: Retirement } },
    config: { errors: ['key_in_use', 'not_found', 'kek_unavailable'] },
  }, async (request) => {
    const { kek_id: kekId } = request.body
    if (kekId !== undefined) {
      await keys.retireKek(kekId, callerOf(request))
      return { retired: 1, kept: [] }
    }
    const { retired, kept } = await keys.retire(callerOf(request))
    return { retired, kept: kept.map((one) => ({ key_id: one.keyId, workspace_id: one.workspaceId, rows: [...one.rows] })) }
  })

  app.delete('/v1/workspaces/:workspace_id', {
    schema: {
      tags, operationId: 'destroyWorkspace', summary: 'Destroy a workspace’s keys and rows',
      description: 'Cannot be undone. Asks for a caller of both environments. The certificate goes on record; the workspace’s audit records stay.',
      params: WorkspaceParams, response: { 200: Type.Ref('DestructionCertificate#') },
    },
    config: { errors: [] },
  }, async (request) => {
    const caller = callerOf(request)
    if (ENVIRONMENTS.some((environment) => !caller.environments.includes(environment))) {
      throw new VaultError('insufficient_scope', { detail: 'A workspace has both environments; this caller has one of them.' })
    }
    return presentCertificate(await keys.destroyWorkspace(request.params.workspace_id as WorkspaceId, caller))
  })
}

/** As `GET /v1/keys` answers it, and `keys list --json` prints it. */
export function presentKeys ({ keks, keys, rowsToReseal, sweep }: Overview) {
  return {
    keks: keks.map((kek) => ({
      kek_id: kek.kekId, provider: kek.provider, current_for: [...kek.currentFor], first_used_at: kek.firstUsedAt?.toISOString() ?? null, keys: kek.keys,
      overdue: kek.overdue,
    })),
    keys: keys.map(({ oldestSeconds, ...count }) => ({ ...count, oldest_days: Math.floor(oldestSeconds / DAY_SECONDS) })),
    rows_to_reseal: rowsToReseal.filter(({ rows }) => rows > 0),
    sweep: presentSweep(sweep),
  }
}

function presentSweep (sweep: KeySweep) {
  return {
    state: sweep.state, requested_by: sweep.requestedBy,
    requested_at: sweep.requestedAt?.toISOString() ?? null, finished_at: sweep.finishedAt?.toISOString() ?? null,
    rows_per_second: sweep.rowsPerSecond, keys_made: sweep.keysMade, keys_rewrapped: sweep.keysRewrapped, rows_total: sweep.rowsTotal,
    rows_done: sweep.rowsDone, rows_failed: sweep.rowsFailed,
  }
}

const STATEMENT = 'The keys were erased and the rows deleted together. What backups of the database hold of this workspace can’t be decrypted, but by a backup of the table workspace_keys ' +
  'from before, with its KEK: until those expire, they undo this. Processes that had a key in memory were told to drop it, and drop it by themselves after KEY_CACHE_SECONDS.'

function presentCertificate (certificate: Certificate) {
  return {
    workspace_id: certificate.workspaceId, destroyed_at: certificate.destroyedAt.toISOString(), keys: [...certificate.keys], rows: certificate.rows,
    grants_left: certificate.grantsLeft, statement: STATEMENT,
  }
}
