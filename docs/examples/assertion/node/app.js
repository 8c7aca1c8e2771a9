// An app behind Secondgate that believes the assertion and nothing else.
//
//	npm install
//	APP_ORIGIN=https://app.example.com npm start
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const origin = process.env.APP_ORIGIN
if (!origin) {
  console.error('APP_ORIGIN is missing: the address of this app as browsers see it')
  process.exit(1)
}
const issuer = process.env.ASSERTION_ISSUER || origin

// Keys are kept for five minutes. One that is not among them has the app look again, every
// ten seconds at most, because a new key signs at once.
const keys = createRemoteJWKSet(new URL(process.env.JWKS_URL || issuer + '/.mfa/jwks.json'), {
  cacheMaxAge: 300_000,
  cooldownDuration: 10_000,
  timeoutDuration: 5_000,
})

// Takes the header's value and returns the claims, or throws.
async function verify(token) {
  const { payload } = await jwtVerify(
    token,
    (header, input) => {
      // Without an ID, the library would take the only key that fits.
      if (!header.kid) throw new Error('no key is named')
      return keys(header, input)
    },
    {
      typ: 'mfa-assertion+jwt', // another kind of token is no assertion
      algorithms: ['EdDSA', 'ES256'],
      issuer,
      audience: origin,
      requiredClaims: ['sub', 'exp', 'nbf', 'iat'],
      clockTolerance: 10,
    },
  )
  if (!payload.sub) throw new Error("nobody's")
  return payload
}

const server = createServer(async (req, res) => {
  res.setHeader('Content-Type', 'text/plain; charset=utf-8')
  try {
    // Two headers come as one with a comma, which is no token.
    const user = await verify(req.headers['mfa-assertion'] ?? '')
    res.end(`hello ${user.preferred_username} (${user.sub}), by ${(user.amr ?? []).join(' ')}\n`)
  } catch (err) {
    console.error('refused:', err.code ?? err.message)
    res.statusCode = 401
    res.end('not believed\n')
  }
})

const [host, port] = (process.env.LISTEN || '127.0.0.1:3000').split(':')
server.listen(Number(port), host, () => {
  console.log(`listening on http://${server.address().address}:${server.address().port}`)
})
