import { existsSync } from 'node:fs'
import { ConfigError, type Config } from './config.ts'
import { createKeks, failFast, openAwsKms, openLocalKeyring, openPkcs11, openVaultTransit, type KekProvider, type Keks, type KekSlot } from './crypto/index.ts'
import type { Egress } from './egress/index.ts'

/** The providers a configuration names, those that wrap new keys and those that only have old ones. */
export async function openKeks (config: Config & { readonly keyringFile: string }, egress: Pick<Egress, 'send'>): Promise<Keks> {
  const transport: Parameters<typeof openVaultTransit>[1] = async (request) => await egress.send('kek', request)
  const named = (slot: KekSlot) => (slot === 'sandbox' ? config.kekProviderSandbox : undefined) ?? config.kekProvider
  const providers: KekProvider[] = []
  // Beside another provider the file is read if it is there: keys may still be on their way out of it.
  const local = named('live') === 'local' || named('sandbox') === 'local' || existsSync(config.keyringFile) ? openLocalKeyring(config.keyringFile) : undefined
  if (local !== undefined) providers.push(local)
  if (config.awsKmsKeyLive !== undefined || config.awsKmsKeySandbox !== undefined) {
    providers.push(failFast(await openAwsKms(config.awsKmsEndpoint === undefined ? {} : { endpoint: readUrl('AWS_KMS_ENDPOINT', config.awsKmsEndpoint) }, transport)))
  }
  if (config.vaultAddr !== undefined && config.vaultTokenFile !== undefined) {
    providers.push(failFast(openVaultTransit({
      address: readUrl('VAULT_ADDR', config.vaultAddr), mount: config.vaultTransitMount, tokenFile: config.vaultTokenFile,
      ...config.vaultNamespace !== undefined && { namespace: config.vaultNamespace },
    }, transport)))
  }
  const { pkcs11Module: module, pkcs11TokenLabel: tokenLabel, pkcs11PinFile: pinFile } = config
  if (module !== undefined && tokenLabel !== undefined && pinFile !== undefined) providers.push(failFast(openPkcs11({ module, tokenLabel, pinFile })))
  return createKeks(providers, (slot) => {
    switch (named(slot)) {
      case 'aws-kms': return `aws-kms:${(slot === 'sandbox' ? config.awsKmsKeySandbox : config.awsKmsKeyLive) ?? ''}`
      case 'vault-transit': return `vault-transit:${config.vaultTransitMount}/${(slot === 'sandbox' ? config.vaultTransitKeySandbox : config.vaultTransitKeyLive) ?? ''}`
      case 'pkcs11': return `pkcs11:${tokenLabel ?? ''}/${(slot === 'sandbox' ? config.pkcs11KeySandbox : config.pkcs11KeyLive) ?? ''}`
      default: return local?.currentKekId(slot) ?? ''
    }
  })
}

function readUrl (name: string, text: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '') throw new ConfigError(`${name} must be an https URL`)
  return url
}
