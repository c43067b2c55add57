/* hub_scene.h - a temporary home, cache and environment for one test of the hub. */
#ifndef HEARTH_TESTS_HUB_SCENE_H
#define HEARTH_TESTS_HUB_SCENE_H

#include "testdata.h"
#include <ftw.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"

static char scene_root[128];

static inline const char *scene_path(const char *name) {
    static char paths[8][1024];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scene_root, name);
    return path;
}

static inline void scene_write(const char *name, const void *data, size_t size) {
    char *folder = path_folder(scene_path(name));
    assert_int_equal(file_make_folders(folder, NULL), HEARTH_OK);
    assert_int_equal(file_write(scene_path(name), data, size, NULL), HEARTH_OK);
    mem_free(folder);
}

/* An empty home below the build's temporary folder, and no settings of the user's. */
static inline void scene_set_up(void) {
    static const char *const unset[] = {
        "HF_TOKEN",       "HUGGING_FACE_HUB_TOKEN",  "HF_TOKEN_PATH", "HF_HUB_OFFLINE",
        "HF_HUB_CACHE",   "HUGGINGFACE_HUB_CACHE",   "HF_ENDPOINT",   "HEARTH_MODELS",
        "XDG_CACHE_HOME", "HF_HUB_DISABLE_SYMLINKS", "http_proxy",    "HTTP_PROXY"};
    const char *base = getenv("TMPDIR");
    snprintf(scene_root, sizeof scene_root, "%s/hearth-hub-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(scene_root));
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
        unsetenv(unset[i]);
    setenv("NO_PROXY", "127.0.0.1,localhost", 1);
    setenv("HF_HOME", scene_path("hf"), 1);
    setenv("HEARTH_HOME", scene_path("home"), 1);
}

static inline int scene_remove(const char *path, const struct stat *info, int type,
                               struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

static inline void scene_tear_down(void) {
    assert_int_equal(nftw(scene_root, scene_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* The thread sanitizer cannot follow a child that starts threads after a fork beside
 * the server's. */
static inline void skip_if_forks_are_not_followed(void) {
#if defined(__SANITIZE_THREAD__)
    skip();
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    skip();
#endif
#endif
}

static inline void assert_says(const hearth_error *err, const char *words) {
    if (!strstr(err->message, words)) fail_msg("'%s' is not in '%s'", words, err->message);
}

#endif
