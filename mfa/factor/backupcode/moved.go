package backupcode

import "github.com/secondgate/secondgate/mfa"

// Adopt says how many codes are left of a set that was read out of a gateway like this.
func (*Factor) Adopt(data mfa.Secret) (left int, err error) {
	if !valid(data) {
		return 0, &mfa.MoveError{Why: "they are no set of this software's own"}
	}
	for i := range setSize {
		switch item(data, i)[0] {
		case unused:
			left++
		case used:
		default:
			return 0, &mfa.MoveError{Why: "they are damaged"}
		}
	}
	return left, nil
}

var _ mfa.BackupCodesMover = (*Factor)(nil)
