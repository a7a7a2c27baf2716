/* The numbers that a training view is rendered from. mindclf/dataset/views.py makes them; its VIEW has the same layout. */
#ifndef MINDCLF_VIEW_H
#define MINDCLF_VIEW_H

#include <stdint.h>

typedef struct {
    int64_t rows, columns, height, width; /* of the source and of the view */
    double grid[6];                       /* column = grid[0] x + grid[1] y + grid[2], row = grid[3] x + grid[4] y + grid[5] */
    float colour[9], pivot;               /* value = colour * pixel + pivot * mean luma of the view */
    float fill[3];                        /* the colour outside of the source, where the grid is rotated */
    float scale[3], shift[3];             /* of the values, after they are clipped to 0..255 */
} View;

enum { NO_MEMORY_FOR_VIEW = 1, EMPTY_VIEW = 2 }; /* the first as NO_MEMORY of mindclf/dataset/views.py */

/* Each source, uint8 (rows, columns, 3), becomes float32 (3, height, width) of `to`, one behind the other. All views have the same
 * height and width. Returns 0; or EMPTY_VIEW, and writes nothing, if an image or a view has no pixels; or NO_MEMORY_FOR_VIEW. */
__attribute__((visibility("default"))) int render_views(int64_t count, const View *views, const uint8_t *const *sources,
                                                        float *to);

#endif
