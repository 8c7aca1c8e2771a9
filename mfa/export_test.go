package mfa

// CleanEmail is for tests that compare it with what package factor/otpcode does, which
// imports this one.
var CleanEmail = cleanEmail

// FactorKey is for tests that lock a factor without fifty wrong tries.
var FactorKey = factorKey

// AwaitConfirmations returns when nothing waits to be confirmed.
func (g *Gate) AwaitConfirmations() { g.confirming.all.Wait() }
