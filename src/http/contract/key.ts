import { Type } from 'typebox'
import { closed, Environment, IdOf, Instant, NullableInstant, NullableString, WorkspaceId } from './parts.ts'

const Slot = Type.Enum(['sandbox', 'live', 'system'])
const Count = Type.Integer({ minimum: 0 })
const NullableWorkspace = Type.Unsafe<string | null>({ type: ['string', 'null'] })
const RowsPerSecond = Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'At most so many rows are sealed again in a second; 2000 unless told.' })

export const KeySweep = Type.Object({
  state: Type.Enum(['idle', 'running']),
  requested_by: NullableString,
  requested_at: NullableInstant,
  finished_at: NullableInstant,
  rows_per_second: Type.Unsafe<number | null>({ type: ['integer', 'null'] }),
  keys_made: Count,
  keys_rewrapped: Count,
  rows_total: Type.Integer({ minimum: 0, description: 'Rows under replaced keys when the sweep came to them; 0 before that.' }),
  rows_done: Count,
  rows_failed: Type.Integer({ minimum: 0, description: 'Values that do not open where they were found. They are left as they are and keep their key from being retired; `connection-vault doctor` names them.' }),
}, { ...closed, $id: 'KeySweep' })

export const KeyOverview = Type.Object({
  keks: Type.Array(Type.Object({
    kek_id: Type.String(),
    provider: Type.String(),
    current_for: Type.Array(Slot),
    first_used_at: NullableInstant,
    keys: Type.Integer({ minimum: 0, description: 'Keys it wraps.' }),
    overdue: Type.Boolean({ description: 'In use for longer than KEK_CRYPTOPERIOD_DAYS.' }),
  }, closed)),
  keys: Type.Array(Type.Object({
    slot: Slot, state: Type.Enum(['current', 'previous', 'retired', 'destroyed']), keys: Count, oldest_days: Type.Integer({ minimum: 0 }), overdue: Type.Boolean(),
  }, closed)),
  rows_to_reseal: Type.Array(Type.Object({ table: Type.String(), column: Type.String(), rows: Count }, closed)),
  sweep: Type.Ref('KeySweep#'),
}, closed)

export const RotateKeys = Type.Object({
  target: Type.Enum(['kek', 'workspace', 'system'], { description: '`kek`: every key is wrapped again, under the current KEK. `workspace`: workspaces’ keys are replaced and their rows sealed again. `system`: the vault’s own key is.' }),
  workspace_id: Type.Optional(WorkspaceId),
  environment: Type.Optional(Environment),
}, { ...closed, description: '`workspace_id` and `environment` narrow `workspace`.' })

export const SweepKeys = Type.Object({ rows_per_second: Type.Optional(RowsPerSecond) }, closed)

export const RetireKeys = Type.Object({
  kek_id: Type.Optional(Type.String({ minLength: 1, maxLength: 400, description: 'A KEK that wraps no key any more. Without it, all replaced keys that no row needs are retired.' })),
}, closed)

export const Retirement = Type.Object({
  retired: Count,
  kept: Type.Array(Type.Object({
    key_id: IdOf('key'), workspace_id: NullableWorkspace, rows: Type.Array(Type.Object({ table: Type.String(), column: Type.String(), rows: Count }, closed)),
  }, closed), { description: 'Some of the keys that are still needed, and by what. The vault’s own are as long as records under their MAC are kept.' }),
}, closed)

export const DestructionCertificate = Type.Object({
  workspace_id: WorkspaceId,
  destroyed_at: Instant,
  keys: Type.Array(IdOf('key'), { description: 'Keys whose bytes were erased.' }),
  rows: Type.Record(Type.String(), Count, { description: 'Rows deleted, by table.' }),
  grants_left: Type.Integer({ minimum: 0, description: 'Grants that stay good at their providers. Delete the connections first to have them revoked.' }),
  statement: Type.String(),
}, { ...closed, $id: 'DestructionCertificate' })
