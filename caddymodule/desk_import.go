package caddymodule

import (
	"context"
	"errors"

	"github.com/secondgate/secondgate/mfa"
)

// importBatch is how many people one request brings, and maxImportBody the most that it
// may weigh: a person with all keys that they may have weighs less than 100 KiB.
const (
	importBatch   = 100
	importBytes   = 4 << 20
	maxImportBody = 8 << 20
)

// importRequest is one batch of people from another system. They were read by the command;
// whatever it made of the files is checked here like any input.
type importRequest struct {
	From   string         `json:"from"`
	DryRun bool           `json:"dry_run,omitempty"`
	People []mfa.Newcomer `json:"people"`
}

// importPeople carries one batch out, or says what would become of it.
func (d desk) importPeople(ctx context.Context, in *importRequest) (*adminAnswer, error) {
	if in == nil || len(in.People) == 0 {
		return nil, wrong("there is nobody to import")
	}
	moved, err := d.admin.Import(ctx, mfa.ImportInput{From: in.From, People: in.People, DryRun: in.DryRun})
	if errors.Is(err, mfa.ErrLimit) {
		return nil, wrong("one request brings %d people at most", mfa.MaxImport)
	}
	if err != nil {
		return nil, err
	}
	return &adminAnswer{Moved: moved}, nil
}
