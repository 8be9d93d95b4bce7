import type { AuthScheme } from './manifest.ts'

/** Whether an account is linked by consent in a browser; everything else is pasted. */
export function isLinked (scheme: AuthScheme): boolean {
  return scheme.oauth !== undefined && scheme.oauth.grant !== 'client_credentials'
}

/** Fields that the provider fills, in its answers or on the redirect: nobody enters them. */
export function issuedFields (scheme: AuthScheme): ReadonlySet<string> {
  const { oauth } = scheme
  if (oauth === undefined) return NONE
  const filled = [oauth.token_answer.config, oauth.redirect_config, ...oauth.after_token?.map((step) => step.config) ?? []]
  return new Set(['access_token', 'refresh_token', ...filled.flatMap((config) => Object.keys(config ?? {}))])
}

const NONE: ReadonlySet<string> = new Set()
