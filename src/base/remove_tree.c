#include "base/remove_tree.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

static hearth_status remove_entry(const char *path, unsigned depth, hearth_error *err);

static hearth_status remove_inside(const char *folder, unsigned depth, hearth_error *err) {
    char **names;
    size_t count;
    RETURN_IF_ERROR(file_list(folder, &names, &count, err));
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < count && status == HEARTH_OK; i++) {
        char *path = path_join(folder, names[i]);
        status = path ? remove_entry(path, depth + 1, err)
                      : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
        mem_free(path);
    }
    file_names_free(names, count);
    return status;
}

static hearth_status remove_entry(const char *path, unsigned depth, hearth_error *err) {
    struct stat info;
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? HEARTH_OK : error_set_errno(err, "cannot remove '%s'", path);
    if (depth > REMOVE_TREE_DEPTH)
        return error_set(err, HEARTH_ERROR_LIMIT, "'%s' lies deeper than %d folders", path,
                         REMOVE_TREE_DEPTH);
    if (S_ISDIR(info.st_mode)) RETURN_IF_ERROR(remove_inside(path, depth, err));
    return remove(path) == 0 ? HEARTH_OK : error_set_errno(err, "cannot remove '%s'", path);
}

hearth_status remove_tree(const char *folder, hearth_error *err) {
    return remove_entry(folder, 0, err);
}
