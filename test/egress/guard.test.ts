import fc from 'fast-check'
import t from 'tap'
import { endpointOf, judgeAddress, judgeUrl } from '../../src/egress/index.ts'

t.test('addresses', async (t) => {
  const refused = [
    '127.0.0.1', '127.255.255.254', '0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '169.254.169.254', '169.254.0.1',
    '100.64.0.1', '100.127.255.255', '168.63.129.16', '192.0.0.1', '192.0.2.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255',
    '240.0.0.1', '255.255.255.255', '::', '::1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:0:127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '100::1',
    '2001::1', '2001:0:4136:e378::1', '2001:10::1', '2001:20::1', '2001:db8::1', '2002:7f00:1::', '2002:a9fe:a9fe::', '3fff::1', '5f00::1', 'fc00::1', 'fd00:ec2::254', 'fe80::1', 'fec0::1',
    'ff02::1', '4000::1', '', 'localhost', '1.2.3', 'not an address', '1.2.3.4.5',
  ]
  for (const address of refused) t.ok(judgeAddress(address), address)
  for (const address of ['8.8.8.8', '1.1.1.1', '52.95.110.1', '172.32.0.1', '100.128.0.1', '169.253.1.1', '2606:4700:4700::1111', '2a00:1450:4001::200e']) {
    t.equal(judgeAddress(address), undefined, address)
  }
})

t.test('no address of a private IPv4 range gets through in any IPv6 clothes', async (t) => {
  const octet = fc.integer({ min: 0, max: 255 })
  const privates = fc.oneof(
    fc.tuple(fc.constant(10), octet, octet, octet), fc.tuple(fc.constant(127), octet, octet, octet), fc.tuple(fc.constant(192), fc.constant(168), octet, octet),
    fc.tuple(fc.constant(169), fc.constant(254), octet, octet), fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), octet, octet),
  )
  const hex = ([a, b, c, d]: readonly number[]) => `${(((a ?? 0) << 8) | (b ?? 0)).toString(16)}:${(((c ?? 0) << 8) | (d ?? 0)).toString(16)}`
  fc.assert(fc.property(privates, (quad) => {
    const dotted = quad.join('.')
    const forms = [dotted, `::ffff:${dotted}`, `::${dotted}`, `::ffff:0:${dotted}`, `64:ff9b::${dotted}`, `2002:${hex(quad)}::1`]
    return forms.every((form) => judgeAddress(form) !== undefined)
  }), { numRuns: 2_000 })
  t.pass('2,000 addresses in 6 forms each')
})

t.test('URLs', async (t) => {
  const exceptions = new Set(['127.0.0.1:4010', '[::1]:4010', 'vault.internal:443'])
  const refused = [
    'http://api.stripe.com/', 'ftp://api.stripe.com/', 'file:///etc/passwd', 'https://user:pass@api.stripe.com/', 'https://user@api.stripe.com/', 'https://127.0.0.1/',
    'https://2130706433/', 'https://0x7f000001/', 'https://0177.0.0.1/', 'https://127.1/', 'https://[::1]/', 'https://[::ffff:7f00:1]/', 'https://[fd00:ec2::254]/',
    'https://169.254.169.254/latest/meta-data/', 'https://localhost/', 'https://LOCALHOST/', 'https://localhost./', 'https://a.localhost/', 'https://intranet/', 'https://db.internal/',
    'https://metadata.google.internal/', 'https://printer.local/', 'https://router.home.arpa/', 'http://127.0.0.1:4011/', 'https://vault.internal:8443/',
  ]
  for (const url of refused) t.ok(judgeUrl(new URL(url), exceptions), url)
  for (const url of ['https://api.stripe.com/v1', 'https://api.stripe.com:8443/', 'http://127.0.0.1:4010/x', 'http://[::1]:4010/', 'https://vault.internal/', 'http://2130706433:4010/']) {
    t.equal(judgeUrl(new URL(url), exceptions), undefined, url)
  }
  t.equal(endpointOf(new URL('https://a.example')), 'a.example:443')
  t.equal(endpointOf(new URL('http://a.example')), 'a.example:80')
})
