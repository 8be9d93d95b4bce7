import { isLinked, judgeFields, previewSecret, type AuthScheme, type Integration } from '../../catalog/index.ts'
import type { NewCredential } from '../../connections/index.ts'
import { wrapSecret } from '../../crypto/wrap.ts'
import { VaultError } from '../../errors.ts'
import type { Environment } from '../../ids.ts'
import type { TakenOutput } from '../../invoke/index.ts'

/** A credential as it was pasted: the only place in the vault where one is plain text on its way in. */
export interface PastedCredential {
  readonly integration: Integration
  readonly auth: string | undefined
  readonly environment: Environment
  readonly credentials: Readonly<Record<string, string>>
  readonly config: Readonly<Record<string, string>>
}

/**
 * Checks a pasted credential against its scheme and wraps it. Throws `auth_unknown`, `auth_not_pasted`, `config_invalid` when only the config is wrong, or `credential_invalid`, with a
 * pointer to each field; never with a value.
 */
export function takeCredential (pasted: PastedCredential): NewCredential {
  const { integration } = pasted
  const { manifest } = integration
  if (!manifest.environments.includes(pasted.environment)) {
    throw new VaultError('environment_mismatch', { detail: `${manifest.name} can be connected in: ${manifest.environments.join(', ')}.` })
  }
  const scheme = requirePasted(integration, pasted)
  const verdict = judgeFields(scheme, pasted.environment, pasted)
  if ('errors' in verdict) {
    const code = verdict.errors.every((error) => error.pointer.startsWith('/config/')) ? 'config_invalid' : 'credential_invalid'
    throw new VaultError(code, { detail: `${code === 'config_invalid' ? 'The config' : 'The credential'} does not fit ${manifest.name}.`, errors: verdict.errors })
  }
  const { secrets, config, previews } = verdict.accepted
  return { integration, scheme, config, previews, secrets: wrapAll(secrets) }
}

/** The same for values that a provider has issued in an action's output: they are what they are. */
export function takeOutput (scheme: AuthScheme, values: Readonly<Record<string, string>>): TakenOutput {
  const previews = Object.entries(values).map(([name, value]) => [name, previewSecret(scheme, name, value)])
  return { secrets: wrapAll(values), previews: Object.fromEntries(previews) as Record<string, string> }
}

function wrapAll (values: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, wrapSecret(value)]))
}

/** Without an id, the only scheme that is pasted, or the only one of them that has all the fields entered. */
function requirePasted (integration: Integration, { auth: id, credentials, config }: PastedCredential): AuthScheme {
  const { manifest } = integration
  const pasted = manifest.auth.filter((scheme) => !isLinked(scheme))
  const entered = [...Object.keys(credentials).map((name) => ({ name, secret: true })), ...Object.keys(config).map((name) => ({ name, secret: false }))]
  const takes = ({ fields }: AuthScheme) => entered.every(({ name, secret }) => fields.some((field) => field.name === name && field.secret === secret))
  const fitting = pasted.length === 1 ? pasted : pasted.filter(takes)
  const scheme = integration.requireScheme(id ?? (fitting.length === 1 ? fitting[0]?.id : undefined))
  if (isLinked(scheme)) {
    const others = pasted.map((one) => one.id).join(', ')
    throw new VaultError('auth_not_pasted', { detail: `${manifest.name} is linked in a browser this way.${others === '' ? '' : ` A credential can be pasted with auth: ${others}.`}` })
  }
  return scheme
}
