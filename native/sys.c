/*
 * The few Linux calls that Node has no name for: socket options, raw and netlink sockets, readiness of any descriptor.
 *
 * Deliberately thin. Every call takes numbers and byte arrays, never blocks, and answers with a number: the result of
 * the system call, or -errno. Layouts of addresses, options and control messages are the business of TypeScript
 * (src/runtime/native.ts), where they can be tested; nothing here knows what a BGP session is.
 *
 * Node-API only, so one build serves every Node version. libuv is used for poll handles alone.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <linux/filter.h>
#include <malloc.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* ------------------------------------------------------------------------------------------------ arguments */

#define ARGS_MAX 6

struct args {
  size_t count;
  napi_value value[ARGS_MAX];
};

/* A byte array argument: the memory of a Uint8Array or Buffer, valid until the call returns. */
struct bytes {
  uint8_t *data;
  size_t length;
};

/* Absent arguments read as undefined. */
static struct args args_of(napi_env env, napi_callback_info info) {
  struct args args = {.count = ARGS_MAX};
  napi_get_cb_info(env, info, &args.count, args.value, NULL, NULL);
  return args;
}

/* Anything but a number reads as -1, which every system call here refuses as a descriptor. */
static int32_t int_of(napi_env env, napi_value value) {
  int32_t number = -1;
  if (napi_get_value_int32(env, value, &number) != napi_ok) return -1;
  return number;
}

/* Anything but a typed array or DataView-like view of bytes reads as no bytes at all. */
static struct bytes bytes_of(napi_env env, napi_value value) {
  struct bytes bytes = {NULL, 0};
  bool typed = false;
  if (napi_is_typedarray(env, value, &typed) != napi_ok || !typed) return bytes;
  napi_typedarray_type type;
  size_t elements;
  void *data;
  if (napi_get_typedarray_info(env, value, &type, &elements, &data, NULL, NULL) != napi_ok) return bytes;
  if (type != napi_uint8_array) return bytes;
  bytes.data = data;
  bytes.length = elements;
  return bytes;
}

static napi_value number(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

/* The result of a system call, or -errno. */
static napi_value outcome(napi_env env, int64_t result) { return number(env, result < 0 ? -errno : result); }

/* ------------------------------------------------------------------------------------------------- sockets */

/* socket(family, type, protocol) -> fd. Always non-blocking and close-on-exec. */
static napi_value sys_socket(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  int type = int_of(env, a.value[1]) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  return outcome(env, socket(int_of(env, a.value[0]), type, int_of(env, a.value[2])));
}

/* close(fd) */
static napi_value sys_close(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  return outcome(env, close(int_of(env, a.value[0])));
}

/* bind(fd, sockaddr) */
static napi_value sys_bind(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes address = bytes_of(env, a.value[1]);
  return outcome(env, bind(int_of(env, a.value[0]), (struct sockaddr *)address.data, address.length));
}

/* connect(fd, sockaddr): -EINPROGRESS is the usual answer. */
static napi_value sys_connect(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes address = bytes_of(env, a.value[1]);
  return outcome(env, connect(int_of(env, a.value[0]), (struct sockaddr *)address.data, address.length));
}

/* listen(fd, backlog) */
static napi_value sys_listen(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  return outcome(env, listen(int_of(env, a.value[0]), int_of(env, a.value[1])));
}

/* accept(fd, sockaddr) -> fd of the connection, non-blocking; the peer's address is written into sockaddr. */
static napi_value sys_accept(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes address = bytes_of(env, a.value[1]);
  socklen_t length = address.length;
  return outcome(env, accept4(int_of(env, a.value[0]), (struct sockaddr *)address.data,
                              address.data ? &length : NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

/* getsockname(fd, sockaddr) -> bytes written */
static napi_value sys_getsockname(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes address = bytes_of(env, a.value[1]);
  socklen_t length = address.length;
  int result = getsockname(int_of(env, a.value[0]), (struct sockaddr *)address.data, &length);
  return outcome(env, result < 0 ? result : (int64_t)length);
}

/* setsockopt(fd, level, name, value): value is an integer or the option's bytes; of a filter its instructions. */
static napi_value sys_setsockopt(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes value = bytes_of(env, a.value[3]);
  int flag = 0;
  if (!value.data) {
    flag = int_of(env, a.value[3]);
    value.data = (uint8_t *)&flag;
    value.length = sizeof flag;
  }
  struct sock_fprog filter = {.len = value.length / sizeof(struct sock_filter), .filter = (void *)value.data};
  if (int_of(env, a.value[1]) == SOL_SOCKET && int_of(env, a.value[2]) == SO_ATTACH_FILTER) {
    value.data = (uint8_t *)&filter;
    value.length = sizeof filter;
  }
  return outcome(env, setsockopt(int_of(env, a.value[0]), int_of(env, a.value[1]), int_of(env, a.value[2]),
                                 value.data, value.length));
}

/* getsockopt(fd, level, name, value) -> bytes written into value */
static napi_value sys_getsockopt(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes value = bytes_of(env, a.value[3]);
  socklen_t length = value.length;
  int result =
      getsockopt(int_of(env, a.value[0]), int_of(env, a.value[1]), int_of(env, a.value[2]), value.data, &length);
  return outcome(env, result < 0 ? result : (int64_t)length);
}

/* send(fd, bytes, flags, sockaddr?, control?) -> bytes sent. Never raises SIGPIPE. */
static napi_value sys_send(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes payload = bytes_of(env, a.value[1]);
  struct bytes name = bytes_of(env, a.value[3]);
  struct bytes control = bytes_of(env, a.value[4]);
  struct iovec vector = {.iov_base = payload.data, .iov_len = payload.length};
  struct msghdr message = {.msg_name = name.data,
                           .msg_namelen = name.length,
                           .msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control.data,
                           .msg_controllen = control.length};
  return outcome(env, sendmsg(int_of(env, a.value[0]), &message, int_of(env, a.value[2]) | MSG_NOSIGNAL));
}

/*
 * recv(fd, bytes, flags, sockaddr?, control?, lengths?) -> bytes received. `lengths` has 12 bytes for three 32-bit
 * numbers: length of the address, length of the control messages, flags (MSG_TRUNC, MSG_CTRUNC).
 */
static napi_value sys_recv(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct bytes payload = bytes_of(env, a.value[1]);
  struct bytes name = bytes_of(env, a.value[3]);
  struct bytes control = bytes_of(env, a.value[4]);
  struct bytes lengths = bytes_of(env, a.value[5]);
  struct iovec vector = {.iov_base = payload.data, .iov_len = payload.length};
  struct msghdr message = {.msg_name = name.data,
                           .msg_namelen = name.length,
                           .msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control.data,
                           .msg_controllen = control.length};
  ssize_t received = recvmsg(int_of(env, a.value[0]), &message, int_of(env, a.value[2]));
  if (received >= 0 && lengths.length >= 3 * sizeof(uint32_t)) {
    uint32_t out[3] = {message.msg_namelen, message.msg_controllen, message.msg_flags};
    __builtin_memcpy(lengths.data, out, sizeof out);
  }
  return outcome(env, received);
}

/* --------------------------------------------------------------------------------------------------- polls */

/*
 * A poll handle lives in three owners' hands: JavaScript (an external value), libuv (until its close callback) and the
 * environment (a cleanup hook, because a worker that ends with an open handle aborts the process). `closing` makes
 * closing idempotent; the memory goes when both libuv and JavaScript have let go. An open handle holds on to its own
 * external value, as Node's own handles do, so that dropping the variable does not stop the events.
 */
struct poll {
  uv_poll_t handle;
  napi_env env;
  napi_ref callback;
  napi_ref self;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  bool closing;
  bool closed;    /* libuv has let go */
  bool collected; /* JavaScript has let go */
};

static void poll_free_if_unowned(struct poll *poll) {
  if (poll->closed && poll->collected) free(poll);
}

static void poll_on_closed(uv_handle_t *handle) {
  struct poll *poll = handle->data;
  if (poll->hook) napi_remove_async_cleanup_hook(poll->hook);
  poll->hook = NULL;
  poll->closed = true;
  poll_free_if_unowned(poll);
}

static void poll_close(struct poll *poll) {
  if (poll->closing) return;
  poll->closing = true;
  napi_delete_reference(poll->env, poll->callback);
  napi_delete_reference(poll->env, poll->self);
  napi_async_destroy(poll->env, poll->context);
  uv_close((uv_handle_t *)&poll->handle, poll_on_closed);
}

/* The environment goes down while the handle is open. No JavaScript may run any more. */
static void poll_on_exit(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  poll_close(data);
}

/* The external value was garbage collected, after closing or with the environment. */
static void poll_on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct poll *poll = data;
  poll->collected = true;
  poll_close(poll);
  poll_free_if_unowned(poll);
}

static void poll_on_ready(uv_poll_t *handle, int status, int events) {
  struct poll *poll = handle->data;
  napi_env env = poll->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, global;
  napi_value arguments[2] = {number(env, events), number(env, status)};
  napi_get_reference_value(env, poll->callback, &callback);
  napi_get_global(env, &global);
  if (napi_make_callback(env, poll->context, global, callback, 2, arguments, NULL) == napi_pending_exception) {
    /* As for any other callback of the loop: the process's "uncaughtException". */
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

/* pollOpen(fd, callback(events, status)) -> handle, or a negative number. The descriptor stays the caller's. */
static napi_value sys_poll_open(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return number(env, -ENOSYS);
  struct poll *poll = calloc(1, sizeof *poll);
  if (!poll) return number(env, -ENOMEM);
  int result = uv_poll_init(loop, &poll->handle, int_of(env, a.value[0]));
  if (result < 0) {
    free(poll);
    return number(env, result);
  }
  poll->env = env;
  poll->handle.data = poll;
  napi_value name, external;
  napi_create_string_utf8(env, "cairn.poll", NAPI_AUTO_LENGTH, &name);
  napi_create_reference(env, a.value[1], 1, &poll->callback);
  napi_async_init(env, NULL, name, &poll->context);
  napi_add_async_cleanup_hook(env, poll_on_exit, poll, &poll->hook);
  napi_create_external(env, poll, poll_on_collected, NULL, &external);
  napi_create_reference(env, external, 1, &poll->self);
  return external;
}

static struct poll *poll_of(napi_env env, napi_value value) {
  void *poll = NULL;
  if (napi_get_value_external(env, value, &poll) != napi_ok) return NULL;
  return poll;
}

/* pollSet(handle, events): 1 readable, 2 writable, 0 stops. */
static napi_value sys_poll_set(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct poll *poll = poll_of(env, a.value[0]);
  if (!poll || poll->closing) return number(env, -EBADF);
  int events = int_of(env, a.value[1]);
  return number(env, events > 0 ? uv_poll_start(&poll->handle, events, poll_on_ready) : uv_poll_stop(&poll->handle));
}

/* pollClose(handle): no callback comes after this. Close the descriptor afterwards. */
static napi_value sys_poll_close(napi_env env, napi_callback_info info) {
  struct args a = args_of(env, info);
  struct poll *poll = poll_of(env, a.value[0]);
  if (!poll) return number(env, -EBADF);
  poll_close(poll);
  return number(env, 0);
}

/* --------------------------------------------------------------------------------------------------- memory */

/* trim(): what the process has freed goes back to the system. 1 when there was any; 0 where the C library has no such call. */
static napi_value sys_trim(napi_env env, napi_callback_info info) {
  (void)info;
#ifdef __GLIBC__
  return number(env, malloc_trim(0));
#else
  return number(env, 0);
#endif
}

/* -------------------------------------------------------------------------------------------------- module */

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback call;
  } table[] = {
      {"socket", sys_socket},         {"close", sys_close},           {"bind", sys_bind},
      {"connect", sys_connect},       {"listen", sys_listen},         {"accept", sys_accept},
      {"getsockname", sys_getsockname}, {"setsockopt", sys_setsockopt}, {"getsockopt", sys_getsockopt},
      {"send", sys_send},             {"recv", sys_recv},             {"pollOpen", sys_poll_open},
      {"pollSet", sys_poll_set},      {"pollClose", sys_poll_close},
      {"trim", sys_trim},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    napi_value function;
    if (napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].call, NULL, &function) != napi_ok) return NULL;
    napi_set_named_property(env, exports, table[i].name, function);
  }
  return exports;
}
