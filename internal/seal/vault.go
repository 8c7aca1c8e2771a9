package seal

import (
	"context"
	"errors"
)

// ErrReplaced says that another text stands in the vault by now.
var ErrReplaced = errors.New("the key set was replaced meanwhile")

// Vault is where the text of a key set is kept: a file beside the store, or a row of a
// database that several gateways share. It is safe for concurrent use.
type Vault interface {
	// Read returns what is kept, or fs.ErrNotExist.
	Read(ctx context.Context) ([]byte, error)
	// Replace keeps next, durably, where old (nil: nothing) is what is kept now, or
	// answers ErrReplaced and keeps what there is.
	Replace(ctx context.Context, old, next []byte) error
}

// guardedVault is a vault that only the owner of the process reads and writes: keys may
// stand there in plain text. Of any other one that is not believed.
type guardedVault interface{ guarded() }
