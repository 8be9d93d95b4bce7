import { inspect } from 'node:util'
import t from 'tap'
import type { Secret } from '../../src/crypto/index.ts'
import { createBearerToken, hashBearerToken } from '../../src/crypto/index.ts'
import { reveal } from '../../src/crypto/reveal.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'

t.test('a secret shows itself to nobody but reveal', async (t) => {
  const secret = wrapSecret('sk_test_canary')
  t.equal(reveal(secret), 'sk_test_canary')
  const shown = [
    String(secret), `${secret as unknown as string}`, 'a' + (secret as unknown as string), secret.toString(), String(secret.valueOf()),
    JSON.stringify({ secret }), JSON.stringify(structuredClone({ ...secret })),
    inspect(secret), inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    Object.values(secret).join(), Object.getOwnPropertyNames(secret).join(),
  ]
  for (const text of shown) t.notMatch(text, /canary/)
  t.throws(() => { Object.assign(secret, { value: 'x' }) }, 'it is frozen')
  t.throws(() => reveal({} as Secret), TypeError, 'only secrets made here')
})

t.test('service tokens', async (t) => {
  const { token, hash } = createBearerToken()
  t.match(token, /^cvt_[0-9a-z]{59}$/)
  t.same(hashBearerToken(token), hash)
  t.not(createBearerToken().token, token)
  const last = token.at(-1) === 'a' ? 'b' : 'a'
  t.equal(hashBearerToken(token.slice(0, -1) + last), undefined, 'a mistyped token fails its checksum')
  const middle = token.slice(0, 20) + (token[20] === 'a' ? 'b' : 'a') + token.slice(21)
  t.equal(hashBearerToken(middle), undefined)
  for (const other of ['', 'cvt_', token.toUpperCase(), ` ${token}`, `${token}0`]) t.equal(hashBearerToken(other), undefined)
})
