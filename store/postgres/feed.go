package postgres

// What a row of changes says.
const (
	changeUser   = "user"
	changePolicy = "policy" // or an organization
	changeKeys   = "keys"
)

// feed tells this node what others changed, and others that there is something to read.
type feed struct{}

func newFeed(*Store) *feed { return &feed{} }

// poke has the other nodes look now.
func (*feed) poke() {}

// close ends it, and waits for it.
func (*feed) close() {}

// InStep implements mfa.Changes.
func (s *Store) InStep() bool { return true }
