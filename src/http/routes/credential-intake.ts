import { judgeFields, type Catalog } from '../../catalog/index.ts'
import type { NewCredential } from '../../connections/index.ts'
import { wrapSecret } from '../../crypto/wrap.ts'
import { VaultError } from '../../errors.ts'
import type { Environment } from '../../ids.ts'

/** A credential as it was pasted: the only place in the vault where one is plain text on its way in. */
export interface PastedCredential {
  readonly integration: string
  readonly auth: string | undefined
  readonly environment: Environment
  readonly credentials: Readonly<Record<string, string>>
  readonly config: Readonly<Record<string, string>>
}

/**
 * Checks a pasted credential against its scheme and wraps it. Throws `integration_unknown`,
 * `auth_unknown`, `config_invalid` when only the config is wrong, or `credential_invalid`, with a
 * pointer to each field; never with a value.
 */
export function takeCredential (catalog: Catalog, pasted: PastedCredential): NewCredential {
  const integration = catalog.require(pasted.integration)
  const { manifest } = integration
  if (!manifest.environments.includes(pasted.environment)) {
    throw new VaultError('environment_mismatch', { detail: `${manifest.name} can be connected in: ${manifest.environments.join(', ')}.` })
  }
  const scheme = integration.requireScheme(pasted.auth)
  const verdict = judgeFields(scheme, pasted.environment, pasted)
  if ('errors' in verdict) {
    const code = verdict.errors.every((error) => error.pointer.startsWith('/config/')) ? 'config_invalid' : 'credential_invalid'
    throw new VaultError(code, { detail: `${code === 'config_invalid' ? 'The config' : 'The credential'} does not fit ${manifest.name}.`, errors: verdict.errors })
  }
  const { secrets, config, previews } = verdict.accepted
  return { integration, scheme, config, previews, secrets: Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, wrapSecret(value)])) }
}
