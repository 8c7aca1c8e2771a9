package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

var policies = []test{
	{"nothing is set at first", func(t *testing.T, s mfa.Store) {
		if p, err := s.PolicySettings(ctx); err != nil || p != (mfa.PolicySettings{}) {
			t.Errorf("%+v, %v", p, err)
		}
	}},
	{"what was set is kept, and announced before the call returns", func(t *testing.T, s mfa.Store) {
		var told atomic.Int64
		remove := s.OnOrganizationChange(func() { told.Add(1) })
		defer remove()
		optional, factors := true, mfa.KindsOf(mfa.TOTP)
		err := s.UpdatePolicySettings(ctx, func(p *mfa.PolicySettings) error {
			p.Optional, p.Factors = &optional, &factors
			return nil
		})
		if err != nil || told.Load() != 1 {
			t.Fatalf("%v, announced %d times", err, told.Load())
		}
		p, err := s.PolicySettings(ctx)
		if err != nil || p.Optional == nil || !*p.Optional || p.Factors == nil || *p.Factors != factors || p.Prompt != nil {
			t.Errorf("%+v, %v", p, err)
		}
	}},
	{"a change that fails keeps nothing", func(t *testing.T, s mfa.Store) {
		want := errors.New("no")
		report := true
		err := s.UpdatePolicySettings(ctx, func(p *mfa.PolicySettings) error { p.ReportOnly = &report; return want })
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		if p, err := s.PolicySettings(ctx); err != nil || p.ReportOnly != nil {
			t.Errorf("%+v, %v", p, err)
		}
	}},
	{"of many changes none is lost", func(t *testing.T, s mfa.Store) {
		var group sync.WaitGroup
		for range many {
			group.Go(func() {
				err := s.UpdatePolicySettings(ctx, func(p *mfa.PolicySettings) error {
					grace := time.Second
					if p.Grace != nil {
						grace += *p.Grace
					}
					p.Grace = &grace
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if p, err := s.PolicySettings(ctx); err != nil || p.Grace == nil || *p.Grace != many*time.Second {
			t.Errorf("%+v, %v", p, err)
		}
	}},
}
