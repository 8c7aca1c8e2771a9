package mfa

// Place is where a request or a step of a flow happens. The HTTP edge makes it
// from the canonical request; the core never sees a header.
type Place struct {
	Origin string // scheme, host and port as browsers write them: "https://app.example.com"
	Host   string // host and, where it is not the scheme's own, port
	Scope  string // audience of the tokens issued here: the Host, or the domain
	// RPID is the relying party of passkeys made and used here. It is empty where
	// passkeys cannot work; NoPasskey then says why.
	RPID      string
	NoPasskey Reason

	Agent   string // the browser, as people know it: "Firefox on Linux"
	Network string // /24 or /64 of the client; "unknown" where there is none

	Language string // BCP 47, as the browser asks for it; letters are written in it

	// Remembered is what this browser keeps to stand for a second factor; see
	// remember.go. Remember says that the person wants it to.
	Remembered string
	Remember   bool

	// Replaces is the session that this browser holds already. A new sign-in ends
	// it, so that nothing planted before a sign-in outlives it (session fixation).
	Replaces SessionID

	// Devices is what this browser keeps of the users whom it is known for; see
	// device.go. It proves nothing.
	Devices string

	// Established is the identity that whatever stands before the gate has established
	// for this request; the zero value: none.
	Established Claim

	// Asked is the requirement of the route that sent the person here. It is a
	// hint taken from the address: it can make a flow ask more, never less,
	// because the route itself decides again.
	Asked Requirement
}

// Why passkeys cannot work at a place.
const (
	ReasonPlainHTTP Reason = "plain_http" // browsers offer passkeys on https and on localhost only
	ReasonIPAddress Reason = "ip_address" // a relying party is a domain name, never an address
	ReasonOtherHost Reason = "other_host" // the user's passkeys were made for another host
)
