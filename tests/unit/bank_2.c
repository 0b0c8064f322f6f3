/* The node, kept order and parcels of the view's tests serve here too. */
#include "view_2.c"
