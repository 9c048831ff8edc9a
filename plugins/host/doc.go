// Package host runs plugins: it starts the processes that were declared and no others, confines them, hands calls to a pool
// of them, kills what crashes, hangs or floods, and starts it again. It knows no type of plugin: a type is a Type value and a
// facade in a package of its own (renderers, decrypters, notifiers) that calls through Plugin.Call.
//
// In the hub it stands between the render stage and the renderers. A call is held by one process, and a process holds one
// call, so that whatever a plugin does wrong fails that call only.
package host
