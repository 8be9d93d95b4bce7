import { createSigningSecret, type BindingContext, type Crypto, type Secret, type SealedWithKey } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type VersionId, type WebhookId } from '../ids.ts'
import { listWebhookSecrets, sealedColumn, type Executor } from '../store/index.ts'

/** A new signing secret, sealed for its place and not stored yet. */
export interface SealedSigningSecret extends SealedWithKey {
  readonly id: VersionId
  /** To be answered once. */
  readonly shown: string
}

export async function sealNewSecret (crypto: Pick<Crypto, 'seal'>, webhookId: WebhookId): Promise<SealedSigningSecret> {
  const { secret, shown } = createSigningSecret()
  const id = newId('version')
  return { id, shown, ...await crypto.seal(bindingOf(webhookId, id), { secret }) }
}

/** The secrets that are valid now, the current one first. Throws `integrity_failure`, `kek_unavailable`. */
export async function openSecrets (on: Executor, crypto: Pick<Crypto, 'open'>, webhookId: WebhookId): Promise<Secret[]> {
  const rows = await listWebhookSecrets(on, webhookId)
  return await Promise.all(rows.map(async (row) => {
    const { secret } = await crypto.open(bindingOf(webhookId, row.id), row.sealed)
    if (secret === undefined) throw new VaultError('integrity_failure')
    return secret
  }))
}

export const WEBHOOK_SECRET_COLUMN = sealedColumn({
  table: 'webhook_secrets', column: 'sealed', id: ['webhook_id', 'id'], owners: ['system'], bindingOf: (row) => bindingOf(row.webhook_id, row.id),
})

function bindingOf (webhookId: WebhookId, id: VersionId): BindingContext {
  return { purpose: 'webhook-secret', scope: { kind: 'system' }, ownerId: webhookId, versionId: id, fieldSet: ['secret'], hosts: [], hostConfig: {} }
}
