import { ACCOUNT_HEADER, DENY_HEADER, type Choice } from './endpoints.ts'

/**
 * A person at the provider's consent page: goes to the authorize URL, chooses, and answers the URL
 * the provider sends the browser back to. Throws with the provider's page where it shows one instead.
 */
export async function consent (authorizeUrl: string, choice: Choice = {}): Promise<string> {
  const response = await fetch(authorizeUrl, {
    redirect: 'manual',
    headers: { ...choice.account !== undefined && { [ACCOUNT_HEADER]: choice.account }, ...choice.deny === true && { [DENY_HEADER]: '1' } },
  })
  const page = await response.text()
  const location = response.headers.get('location')
  if (response.status !== 302 || location === null) throw new Error(`the provider answered ${response.status}: ${page}`)
  return location
}
