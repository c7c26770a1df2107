// Package migrate makes a configuration of the earlier Keystone Gateway one of
// this, for the command of that name: its text with as little changed as can be,
// and in words what is different now. It reads; nothing is written.
//
//	result, err := migrate.File("old.yaml", text)
//	os.Stdout.Write(result.Text) // and result.Left is what is left to do
package migrate
