import { issuedFields } from './linking.ts'
import type { AuthScheme, Manifest } from './manifest.ts'
import { templateFields } from './servers.ts'

/** What the schema can't say of a scheme's OAuth; each line is a JSON pointer and what is wrong there. */
export function judgeOAuth (manifest: Manifest, scheme: AuthScheme, at: string): string[] {
  const { oauth } = scheme
  if (oauth === undefined) return []
  const problems: string[] = []
  const find = (name: string) => scheme.fields.find((field) => field.name === name)
  const requireConfig = (name: string, where: string) => {
    if (find(name)?.secret !== false) problems.push(`${at}/${where}: ${name} is no config field`)
  }
  if (find('access_token')?.secret !== true) problems.push(`${at}: the scheme has no secret field access_token`)
  const credentials = oauth.grant === 'client_credentials'
  if (credentials !== (oauth.client !== undefined)) problems.push(`${at}/client: belongs to a client credentials grant, and it needs one`)
  if (oauth.client !== undefined) {
    requireConfig(oauth.client.id, 'client/id')
    if (find(oauth.client.secret)?.secret !== true) problems.push(`${at}/client/secret: is no secret field`)
    if (find('access_token')?.required !== false) problems.push(`${at}: access_token is not pasted and has to say required: false`)
  }
  if (credentials === (oauth.authorize_url !== undefined)) problems.push(`${at}/authorize_url: is where a browser is sent, and only there needed`)
  const refreshToken = find('refresh_token')
  if ((refreshToken !== undefined) !== (oauth.refresh.issued !== 'never')) problems.push(`${at}/refresh/issued: does not agree with the field refresh_token`)
  if (refreshToken !== undefined && !(refreshToken.secret && refreshToken.vault_only === true)) problems.push(`${at}: refresh_token has to be secret and vault_only`)

  for (const [name, urls] of Object.entries({ authorize_url: oauth.authorize_url, token_url: oauth.token_url, issuer: oauth.issuer, 'revoke/url': oauth.revoke?.url })) {
    if (urls === undefined) continue
    for (const environment of manifest.environments) {
      const url = typeof urls === 'string' ? urls : urls[environment]
      if (url === undefined) problems.push(`${at}/${name}: ${environment} has none`)
      else if (!/^https?:\/\//.test(url.replaceAll(/\{[^}]*\}/g, 'https://x')) && !url.startsWith('{')) problems.push(`${at}/${name}: is no URL`)
      const byClient = name === 'revoke/url' && oauth.revoke?.style === 'delete'
      for (const field of templateFields(url ?? '')) if (!(byClient && field === 'client_id')) requireConfig(field, name)
    }
  }
  for (const name of Object.keys(oauth.token_answer.config ?? {})) requireConfig(name, 'token_answer/config')
  for (const name of Object.keys(oauth.redirect_config ?? {})) requireConfig(name, 'redirect_config')
  if (oauth.account_config !== undefined && !issuedFields(scheme).has(oauth.account_config)) problems.push(`${at}/account_config: ${oauth.account_config} is nothing the provider fills`)
  for (const step of oauth.after_token ?? []) for (const name of Object.keys(step.config)) requireConfig(name, 'after_token')
  return problems
}
