// Package site serves the files below a directory: it finds the file that a path names,
// or a variant of it that is already compressed, and says what a request gets of it by its
// conditions and its range (RFC 9110 §13 and §14). It writes nothing, and doesn't know how
// an answer is sent.
//
//	s := site.New(&config, place)
//	file, err := s.Open("css/app.css", accepts) // site.ErrNotFound, site.ErrDirectory
//	part := file.Judge(request.Header, isHead)  // 200, 206, 304, 412 or 416
//
// What lies outside the directory isn't served, wherever links lead, nor are files and
// directories whose names begin with a dot, but for .well-known.
package site
